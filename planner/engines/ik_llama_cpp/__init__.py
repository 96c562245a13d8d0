"""ik_llama.cpp: a fork of llama.cpp with its own latent attention, quantizations and memory rules."""

from planner.engines.ik_llama_cpp.flags import IkFlags
from planner.engines.ik_llama_cpp.rules import IK, IkRules

__all__ = ["IK", "IkFlags", "IkRules"]
