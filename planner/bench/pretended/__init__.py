"""GPUs that do not exist, shown to llama.cpp so that it plans a load onto them. Used in the child process."""
