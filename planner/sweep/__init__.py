"""Many like questions at once: on one core, all cores or a Ray cluster, with a journal to go on from."""
