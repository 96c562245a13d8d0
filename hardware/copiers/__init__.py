"""What can copy on a GPU: one file per driver or framework, each behind the protocol of hardware.gpu_copies."""
