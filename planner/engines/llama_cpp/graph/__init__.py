"""The graphs that llama.cpp plans its compute buffers with, as shapes."""
