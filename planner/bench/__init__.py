"""Measuring: a model's real speed and memory in a real engine, in a process of its own."""
