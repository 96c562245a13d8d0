"""How each quantization library writes its settings, one file per family of libraries."""
