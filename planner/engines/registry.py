"""Engines of the llama.cpp family by name."""

from planner.engines.ik_llama_cpp.rules import IK
from planner.engines.llama_cpp.rules import MAINLINE, Rules
from planner.errors import MissingFactError

_MEMORY_RULES: dict[str, Rules] = {"ik_llama.cpp": IK, "llama.cpp": MAINLINE, "ollama": MAINLINE}


def memory_rules(engine: str) -> Rules:
    """The memory rules of an engine; raises MissingFactError for one without."""
    rules = _MEMORY_RULES.get(engine)
    if rules is None:
        raise MissingFactError(f"no memory rules for {engine}; there are: {', '.join(sorted(_MEMORY_RULES))}")
    return rules
