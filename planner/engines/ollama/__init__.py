"""Ollama: which llama.cpp it runs, with which settings, and what it reports of memory."""
