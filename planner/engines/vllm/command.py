"""`vllm serve` with the settings that decide memory, written out and read back.

Option names: vllm/engine/arg_utils.py `EngineArgs.add_cli_args` (0.25.1); `--language-model-only` since 0.17 (in 0.19.0,
not in 0.16.0), before it a limit of no images does the same.
"""

import json
from collections.abc import Sequence
from typing import Final

from planner.engines.option_text import fraction, options_of, whole_number
from planner.engines.release import Release
from planner.engines.sharding import Parallel
from planner.engines.vllm.settings import LATEST, VllmSettings
from planner.errors import MalformedError

_VALUES: Final = {
    "--tensor-parallel-size": "tensor", "-tp": "tensor", "--pipeline-parallel-size": "pipeline", "-pp": "pipeline",
    "--data-parallel-size": "data", "-dp": "data", "--max-model-len": "length",
    "--gpu-memory-utilization": "utilization", "--max-num-batched-tokens": "batched", "--max-num-seqs": "sequences",
    "--block-size": "block", "--kv-cache-dtype": "cache", "--quantization": "quantization", "-q": "quantization",
    "--max-loras": "loras", "--limit-mm-per-prompt": "media", "--max-lora-rank": "lora_rank", "--speculative-config": "speculative",
}  # fmt: skip
TEXT_ONLY_FLAG: Final = Release(0, 17, 0)
_NO_MEDIA: Final = json.dumps({"image": 0, "video": 0, "audio": 0})
_FLAGS: Final = {
    "--enable-expert-parallel": "expert", "--enforce-eager": "eager", "--enable-prefix-caching": "caching",
    "--no-enable-prefix-caching": "no_caching", "--language-model-only": "text_only", "--enable-lora": "lora",
}  # fmt: skip


def serve_command(model: str, settings: VllmSettings) -> tuple[str, ...]:
    """The words of the command; settings that the engine is to choose are left out."""
    ranks = settings.parallel
    words = ["vllm", "serve", model]
    values: tuple[tuple[str, object], ...] = (
        ("--tensor-parallel-size", ranks.attention if ranks.attention > 1 else None),
        ("--pipeline-parallel-size", ranks.pipeline if ranks.pipeline > 1 else None),
        ("--data-parallel-size", ranks.attention_replicas if ranks.attention_replicas > 1 else None),
        ("--max-model-len", settings.max_model_len),
        ("--gpu-memory-utilization", settings.gpu_memory_utilization),
        ("--max-num-batched-tokens", settings.max_num_batched_tokens),
        ("--max-num-seqs", settings.max_num_seqs),
        ("--block-size", settings.block_size),
        ("--kv-cache-dtype", None if settings.kv_cache_dtype == "auto" else settings.kv_cache_dtype),
        ("--quantization", settings.quantization),
    )
    for name, value in values:
        if value is not None:
            words += [name, str(value)]
    if ranks.expert > 1:
        words.append("--enable-expert-parallel")
    if settings.enforce_eager:
        words.append("--enforce-eager")
    if settings.prefix_caching is not None:
        words.append("--enable-prefix-caching" if settings.prefix_caching else "--no-enable-prefix-caching")
    if settings.language_model_only:
        if settings.version >= TEXT_ONLY_FLAG:
            words.append("--language-model-only")
        else:
            words += ["--limit-mm-per-prompt", _NO_MEDIA]
    if settings.max_loras:
        words += ["--enable-lora", "--max-loras", str(settings.max_loras)]
        words += ["--max-lora-rank", str(settings.max_lora_rank)]
    if settings.n_speculative_tokens:
        config = {"method": "mtp", "num_speculative_tokens": settings.n_speculative_tokens}
        words += ["--speculative-config", json.dumps(config)]
    return tuple(words)


def parse_serve_command(
    words: Sequence[str], version: Release = LATEST, others: list[str] | None = None
) -> tuple[str, VllmSettings]:
    """The model and the settings of a command line; raises MalformedError for one that is not understood.

    `others` collects the options that do not decide memory; without it they are refused.
    """
    if len(words) < 3 or words[0] != "vllm" or words[1] != "serve":
        raise MalformedError("a vLLM command line begins with `vllm serve MODEL`")
    found = options_of(words[3:], _VALUES, _FLAGS, others)
    tensor, replicas = whole_number(found, "tensor") or 1, whole_number(found, "data") or 1
    ranks = tensor * replicas
    caching = True if "caching" in found else False if "no_caching" in found else None
    return words[2], VllmSettings(
        version=version,
        parallel=Parallel(
            tensor=ranks,
            pipeline=whole_number(found, "pipeline") or 1,
            expert=ranks if "expert" in found else 1,
            attention_replicas=replicas,
        ),
        max_model_len=whole_number(found, "length"),
        gpu_memory_utilization=fraction(found, "utilization"),
        max_num_batched_tokens=whole_number(found, "batched"),
        max_num_seqs=whole_number(found, "sequences"),
        block_size=whole_number(found, "block"),
        kv_cache_dtype=found.get("cache", "auto"),
        enforce_eager="eager" in found,
        n_speculative_tokens=_speculated(found.get("speculative")),
        prefix_caching=caching,
        language_model_only="text_only" in found or _allows_no_media(found.get("media")),
        quantization=found.get("quantization"),
        max_loras=(whole_number(found, "loras") or 1) if "lora" in found else 0,
        max_lora_rank=whole_number(found, "lora_rank") or 16,
    )


def _allows_no_media(text: str | None) -> bool:
    """Whether a limit of media per prompt lets none through, so that no tower is loaded."""
    try:
        limits = json.loads(text) if text is not None else None
    except ValueError as error:
        raise MalformedError(f"--limit-mm-per-prompt {str(text)[:40]!r} is not JSON") from error
    return isinstance(limits, dict) and bool(limits) and not any(limits.values())


def _speculated(text: str | None) -> int:
    if text is None:
        return 0
    try:
        config = json.loads(text)
    except ValueError as error:
        raise MalformedError(f"--speculative-config {text[:40]!r} is not JSON") from error
    n = config.get("num_speculative_tokens") if isinstance(config, dict) else None
    if not isinstance(n, int) or config.get("method") != "mtp":
        raise MalformedError(
            "of --speculative-config only the method mtp with num_speculative_tokens is understood; a draft model's "
            "memory needs the draft's own config"
        )
    return n
