"""Vision and audio towers in front of a language model, one file per family."""
