"""A server's own counters, from its Prometheus page, before and after a load: an account beside ours.

Names: vllm/v1/metrics/loggers.py of vLLM, python/sglang/srt/metrics of SGLang, tools/server of llama.cpp (which shows
them when started with --metrics).
"""

import math
import re
from collections.abc import Mapping
from typing import Final

from planner.load.server_account import ServerAccount

_LINE: Final = re.compile(r"([A-Za-z_:][\w:]{0,120})(?:\{[^\n]{0,2000}?\})?\s+(\S{1,40})(?:\s+-?\d+)?")
_PROMPT: Final = ("vllm:prompt_tokens_total", "sglang:prompt_tokens_total", "llamacpp:prompt_tokens_total")
_OUTPUT: Final = (
    "vllm:generation_tokens_total",
    "sglang:generation_tokens_total",
    "llamacpp:tokens_predicted_total",
)
_TTFT: Final = ("vllm:time_to_first_token_seconds", "sglang:time_to_first_token_seconds")
_E2E: Final = ("vllm:e2e_request_latency_seconds", "sglang:e2e_request_latency_seconds")


_ENGINES: Final[Mapping[str, str]] = {"vllm": "vllm", "sglang": "sglang", "llamacpp": "llama.cpp"}


def engine_of(counters: Mapping[str, float]) -> str:
    """The engine whose counters these are; "" where none of their names tells."""
    starts = {name.partition(":")[0] for name in counters}
    return next((engine for start, engine in _ENGINES.items() if start in starts), "")


def read_counters(text: str) -> Mapping[str, float]:
    """Values of a Prometheus page, those with labels added up; lines that are none are passed over."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line.strip())
        if match is None:
            continue
        try:
            value = float(match[2])
        except ValueError:
            continue
        if math.isfinite(value):
            found[match[1]] = found.get(match[1], 0.0) + value
    return found


def account(before: Mapping[str, float], after: Mapping[str, float]) -> ServerAccount | None:
    """What happened between two readings; None where the page has no counter that is known."""
    found = ServerAccount(
        n_prompt_tokens=_grown(before, after, _PROMPT),
        n_output_tokens=_grown(before, after, _OUTPUT),
        mean_ttft_s=_mean(before, after, _TTFT),
        mean_e2e_s=_mean(before, after, _E2E),
    )
    return None if found.n_output_tokens is None else found


def _grown(before: Mapping[str, float], after: Mapping[str, float], names: tuple[str, ...]) -> float | None:
    for name in names:
        if name in after:
            return after[name] - before.get(name, 0.0)
    return None


def _mean(before: Mapping[str, float], after: Mapping[str, float], names: tuple[str, ...]) -> float | None:
    total = _grown(before, after, tuple(f"{name}_sum" for name in names))
    count = _grown(before, after, tuple(f"{name}_count" for name in names))
    return total / count if total is not None and count else None
