"""Models as serving engines load them: memory of every rank, recorded start-ups, and what is answered."""
