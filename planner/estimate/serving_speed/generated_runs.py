"""What the engines of aiconfigurator's own measured runs were told: it writes their command lines from the load.

`max_num_tokens` is one prompt, as many tokens as requests run, and 1,500 more: `cli/backends/trtllm.py` of
github.com/ai-dynamo/aiconfigurator since its first version of August 2025, `generator/rule_plugin/vllm.rule` since
December 2025. Its `eval` asks 10 requests a slot after 2 to warm up, all as long as asked for
(`eval/benchmarks/genai_perf_runner.py`).
"""

from collections.abc import Mapping
from typing import Final

SOURCE: Final = "aic-auto-gap-analysis"  # in the sources of its rows
_BESIDE_A_PROMPT: Final = {"trtllm": 1500, "vllm": 1500}


def is_generated(row: Mapping[str, str]) -> bool:
    """Whether the row is a result of such a run."""
    return SOURCE in (row.get("silicon_data_source") or "")


def generated_step_tokens(row: Mapping[str, str], engine: str, n_prompt_tokens: int) -> int | None:
    """Tokens of prompts in one step of such a run; None where nobody wrote the engine's command line so."""
    beside = _BESIDE_A_PROMPT.get(engine) if is_generated(row) else None
    return None if beside is None else n_prompt_tokens + beside
