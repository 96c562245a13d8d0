"""Benchmarks of a running Ollama through its HTTP API, with the timings that it counts itself."""
