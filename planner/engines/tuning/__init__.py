"""What fine-tuning allocates: PyTorch with transformers 5, peft, bitsandbytes, DeepSpeed or FSDP."""
