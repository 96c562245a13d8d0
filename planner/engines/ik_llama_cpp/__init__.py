"""ik_llama.cpp: a fork of llama.cpp with its own latent attention, quantizations and memory rules."""
