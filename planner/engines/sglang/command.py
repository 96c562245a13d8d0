"""`python -m sglang.launch_server` with the settings that decide memory, written out and read back.

Option names: sglang/srt/server_args.py `ServerArgs.add_cli_args` (0.5.9).
"""

from collections.abc import Sequence
from typing import Final

from planner.engines.option_text import fraction, options_of, whole_number
from planner.engines.release import Release
from planner.engines.sglang.settings import LATEST, SglangSettings
from planner.engines.sharding import Parallel
from planner.errors import MalformedError

_VALUES: Final = {
    "--tp": "tensor", "--tp-size": "tensor", "--tensor-parallel-size": "tensor", "--pp-size": "pipeline",
    "--ep-size": "expert", "--dp-size": "data", "--model-path": "model", "--context-length": "length",
    "--mem-fraction-static": "fraction", "--chunked-prefill-size": "chunk", "--max-running-requests": "requests",
    "--page-size": "page", "--kv-cache-dtype": "cache", "--cuda-graph-max-bs": "graphs", "--moe-a2a-backend": "a2a",
}  # fmt: skip
_FLAGS: Final = {
    "--enable-dp-attention": "dp_attention", "--enable-dp-lm-head": "dp_head", "--disable-radix-cache": "no_radix",
}  # fmt: skip


def launch_command(model: str, settings: SglangSettings) -> tuple[str, ...]:
    """The words of the command; settings that the engine is to choose are left out."""
    ranks = settings.parallel
    words = ["python", "-m", "sglang.launch_server", "--model-path", model]
    values: tuple[tuple[str, object], ...] = (
        ("--tp-size", ranks.tensor if ranks.tensor > 1 else None),
        ("--pp-size", ranks.pipeline if ranks.pipeline > 1 else None),
        ("--ep-size", ranks.expert if ranks.expert > 1 else None),
        ("--dp-size", ranks.attention_replicas if ranks.attention_replicas > 1 else None),
        ("--context-length", settings.context_length),
        ("--mem-fraction-static", settings.mem_fraction_static),
        ("--chunked-prefill-size", settings.chunked_prefill_size),
        ("--max-running-requests", settings.max_running_requests),
        ("--page-size", settings.page_size),
        ("--kv-cache-dtype", None if settings.kv_cache_dtype == "auto" else settings.kv_cache_dtype),
        ("--cuda-graph-max-bs", settings.cuda_graph_max_bs),
        ("--moe-a2a-backend", "deepep" if settings.all_to_all else None),
    )
    for name, value in values:
        if value is not None:
            words += [name, str(value)]
    if ranks.attention_replicas > 1:
        words.append("--enable-dp-attention")
    if settings.head_per_replica:
        words.append("--enable-dp-lm-head")
    if not settings.radix_cache:
        words.append("--disable-radix-cache")
    return tuple(words)


def parse_launch_command(
    words: Sequence[str], version: Release = LATEST, others: list[str] | None = None
) -> tuple[str, SglangSettings]:
    """The model and the settings of a command line; raises MalformedError for one that is not understood.

    `others` collects the options that do not decide memory; without it they are refused.
    """
    if tuple(words[1:3]) != ("-m", "sglang.launch_server") or not words[0].startswith("python"):
        raise MalformedError("an SGLang command line begins with `python -m sglang.launch_server`")
    found = options_of(words[3:], _VALUES, _FLAGS, others)
    if "model" not in found:
        raise MalformedError("an SGLang command line names its model with --model-path")
    replicas = whole_number(found, "data") or 1
    if replicas > 1 and "dp_attention" not in found:
        raise MalformedError(
            "--dp-size without --enable-dp-attention starts whole replicas; plan one of them"
        )
    return found["model"], SglangSettings(
        version=version,
        parallel=Parallel(
            tensor=whole_number(found, "tensor") or 1,
            pipeline=whole_number(found, "pipeline") or 1,
            expert=whole_number(found, "expert") or 1,
            attention_replicas=replicas,
        ),
        context_length=whole_number(found, "length"),
        mem_fraction_static=fraction(found, "fraction"),
        chunked_prefill_size=whole_number(found, "chunk"),
        max_running_requests=whole_number(found, "requests"),
        page_size=whole_number(found, "page"),
        kv_cache_dtype=found.get("cache", "auto"),
        cuda_graph_max_bs=whole_number(found, "graphs"),
        radix_cache="no_radix" not in found,
        all_to_all=found.get("a2a") == "deepep",
        head_per_replica="dp_head" in found,
    )
