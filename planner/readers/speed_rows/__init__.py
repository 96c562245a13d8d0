"""Measured speeds of llama.cpp, row by row: which model, device, layout and test each one means."""
