"""A serving engine step by step: continuous batching of requests on given step times, without any engine."""
