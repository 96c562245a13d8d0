"""What machines can do and what this machine is; knows nothing about language models."""
