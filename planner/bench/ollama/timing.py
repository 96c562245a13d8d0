"""Ollama's own counters as times per repetition of a llama-bench test."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from planner.errors import BenchError

_NANO: Final = 1e-9
_FEWEST_GENERATED: Final = 8  # of an answer that the model ended early; less is no measurement
_MOST_CACHED: Final = 0.1  # of a prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaTiming:
    """What one answer says of itself; None where it holds no count."""

    n_prompt: int
    prompt_s: float
    n_generated: int
    generated_s: float
    load_s: float
    is_done: bool
    reason: str


def timing_of(answer: Mapping[str, Any]) -> OllamaTiming:
    """The counters of a last part; raises BenchError for values that cannot be."""
    return OllamaTiming(
        n_prompt=int(_number(answer, "prompt_eval_count")),
        prompt_s=_number(answer, "prompt_eval_duration") * _NANO,
        n_generated=int(_number(answer, "eval_count")),
        generated_s=_number(answer, "eval_duration") * _NANO,
        load_s=_number(answer, "load_duration") * _NANO,
        is_done=answer.get("done") is True,
        reason=str(answer.get("done_reason", ""))[:40],
    )


def prompt_sample_s(timing: OllamaTiming, n_wanted: int) -> float | None:
    """Seconds of a prompt of the wanted length at this one's rate; None where much of it came from the cache."""
    if timing.prompt_s <= 0 or timing.n_prompt < (1 - _MOST_CACHED) * n_wanted:
        return None
    return timing.prompt_s * n_wanted / timing.n_prompt


def generated_sample_s(timing: OllamaTiming, n_wanted: int) -> float | None:
    """Seconds of as many single tokens as wanted, at this answer's rate; None for too short an answer.

    The first token comes with the prompt, and the clock starts after it: n tokens took n − 1 steps
    (tools/server/server-context.cpp of llama.cpp, t_start_generation).
    """
    if timing.generated_s <= 0 or timing.n_generated < min(_FEWEST_GENERATED, n_wanted):
        return None
    return timing.generated_s * n_wanted / (timing.n_generated - 1)


def _number(answer: Mapping[str, Any], name: str) -> float:
    value = answer.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e18:
        raise BenchError(f"Ollama's answer gives an impossible {name}")
    return float(value)
