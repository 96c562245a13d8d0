"""What is asked of a model: tokens, turns, samples, arrivals, objectives."""
