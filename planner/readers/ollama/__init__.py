"""Ollama's folder, server and registry."""
