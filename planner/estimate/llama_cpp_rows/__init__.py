"""Recorded loads of llama.cpp, ik_llama.cpp and Ollama: from a row of a table of logs to a prediction."""
