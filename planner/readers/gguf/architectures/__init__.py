"""GGUF headers of llama.cpp's text architectures: what the metadata and the tensor table say of a network."""
