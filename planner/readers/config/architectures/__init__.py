"""Architectures by `model_type`: each file reads one family's config.json into a network."""
