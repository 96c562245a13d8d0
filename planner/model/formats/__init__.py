"""Quantization formats other than GGUF: which bytes a weight takes, one file per format."""
