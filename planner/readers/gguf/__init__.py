"""GGUF files: what llama.cpp and Ollama load."""
