"""The shell that brings models in: files, folders, the hub, Ollama, the catalogue."""
