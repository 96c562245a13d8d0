"""A recorded start-up of vLLM: its settings, and its figures predicted one by one."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from hardware.accelerators import find_accelerator
from hardware.errors import HardwareError
from hardware.units import GIB
from planner.engines.release import Release, parse_release
from planner.engines.sharding import Parallel, stage_problem
from planner.engines.vllm.cache_specs import hybrid_block_tokens
from planner.engines.vllm.settings import (
    CHECKPOINT_CACHE,
    LARGE_GPU_BYTES,
    LATEST,
    VllmSettings,
    batched_tokens,
)
from planner.errors import MalformedError, MissingFactError, PlannerError
from planner.estimate.served.component import Component, number, whole
from planner.estimate.served.model import ACTIVATION, GRAPHS, HIDDEN_BYTES, OTHER, ServedModel, ServingGpu
from planner.estimate.served.vllm_memory import cache_types, loaded_weights, pool_capacity, vllm_memory

Row = Mapping[str, str]

# The release that was current on a day: from the dates of the packages on the index.
_RELEASED: Final = (
    ("2024-10-14", Release(0, 6, 3)), ("2024-11-15", Release(0, 6, 4)), ("2024-12-27", Release(0, 6, 6)),
    ("2025-01-27", Release(0, 7, 0)), ("2025-04-06", Release(0, 8, 3)), ("2025-07-08", Release(0, 9, 2)),
    ("2025-07-25", Release(0, 10, 0)), ("2025-10-04", Release(0, 11, 0)), ("2025-12-03", Release(0, 12, 0)),
    ("2026-01-20", Release(0, 14, 0)), ("2026-02-26", Release(0, 16, 0)), ("2026-04-03", Release(0, 19, 0)),
    ("2026-05-10", Release(0, 20, 2)), ("2026-05-29", Release(0, 22, 0)), ("2026-07-14", Release(0, 25, 1)),
    ("2026-07-25", Release(0, 26, 0)), ("2026-11-02", Release(0, 33, 0)),
)  # fmt: skip
_DATE: Final = re.compile(r"\b(20\d\d-\d\d-\d\d)\b", re.ASCII)
_MOST_SPECULATED: Final = 3


def row_release(row: Row) -> tuple[Release, str | None]:
    """The version that a row names, else the one of its day, else of its log's form; and how it was told.

    Only the engine before V1 logged "# CUDA blocks: …, # CPU blocks: …" (vllm/executor/executor_base.py, 0.6.3).
    """
    try:
        return parse_release(row.get("version") or ""), None
    except MissingFactError:
        pass
    dated = _DATE.search(f"{row.get('source', '')} {row.get('notes', '')}")
    if dated is not None:
        earlier = [release for day, release in _RELEASED if day <= dated[1]]
        if earlier:
            return earlier[-1], f"version {earlier[-1]}, the release of {dated[1]}"
    if row.get("cpu_blocks"):
        return Release(0, 6, 6), "version 0.6.6, for a log with CPU blocks"
    return LATEST, f"version not stated; the rules of {LATEST} are used"


def row_settings(row: Row, model: ServedModel) -> tuple[VllmSettings, tuple[str, ...]]:
    """The settings that a row states. Raises MissingFactError where it leaves out over how many GPUs it runs."""
    release, told = row_release(row)
    notes = [told] if told else []
    settings = _settings(row, release)
    problem = stage_problem(model.network.n_layers, settings.parallel.pipeline)
    if problem is not None:
        raise MalformedError(f"the row's split over GPUs makes no sense: {problem}")
    speculative = row.get("speculative") or "None"
    if speculative != "None":
        if "mtp" not in speculative.lower():
            raise MissingFactError(f"the draft model of {speculative[:60]} is not stated")
        settings, note = _with_speculation(row, model, settings, speculative)
        notes.append(note)
    return _with_printed_block(row, model, settings, notes), tuple(notes)


def _settings(row: Row, release: Release) -> VllmSettings:
    parallel = row_parallel(row)
    try:
        return VllmSettings(
            version=release,
            parallel=parallel,
            max_model_len=whole(row, "max_model_len") or whole(row, "max_concurrency_len_tokens"),
            gpu_memory_utilization=number(row, "gpu_memory_utilization_or_mem_fraction"),
            max_num_batched_tokens=whole(row, "max_num_batched_tokens_or_chunk"),
            max_num_seqs=whole(row, "max_num_seqs_or_running"),
            kv_cache_dtype=row.get("kv_cache_dtype") or "auto",
            enforce_eager=row.get("enforce_eager") == "True",
            block_size=_block_size(row),
        )
    except ValueError as error:
        raise MalformedError(f"the row's settings make no sense: {error}") from error


def row_parallel(row: Row) -> Parallel:
    """Tensor and pipeline ranks; one where the row names one GPU and nothing else."""
    tensor = whole(row, "tp")
    if tensor is None:
        hints = f"{row.get('gpu', '')} {row.get('notes', '')}"
        if re.search(r"\b\d+ ?x\b|multi-node|per rank|\bTP\b", hints):
            raise MissingFactError("the row does not say over how many GPUs the model is split (tp)")
        tensor = 1
    replicas = whole(row, "dp") or 1
    try:
        if (whole(row, "ep") or 1) == 1:
            return Parallel(tensor=tensor, pipeline=whole(row, "pp") or 1)
        # Data-parallel engines share the experts out among all their ranks.
        ranks = tensor * replicas
        return Parallel(
            tensor=ranks, pipeline=whole(row, "pp") or 1, expert=ranks, attention_replicas=replicas
        )
    except ValueError as error:
        raise MalformedError(f"the row's split over GPUs makes no sense: {error}") from error


def _block_size(row: Row) -> int | None:
    stated = re.search(r"block-size=(\d+)", row.get("notes") or "", re.ASCII)
    return int(stated[1]) if stated else None


def _with_speculation(
    row: Row, model: ServedModel, settings: VllmSettings, text: str
) -> tuple[VllmSettings, str]:
    """How many tokens are speculated: as stated, else the most (up to 3) that give the attention block printed."""
    stated = re.search(r"num_spec(?:ulative)?_tokens=(\d+)|mtp (\d+)", text.lower(), re.ASCII)
    if stated is not None:
        n = int(stated[1] or stated[2])
        return replace(settings, n_speculative_tokens=n), f"{n} speculated tokens, as stated"
    printed = whole(row, "hybrid_attn_block_tokens")
    for n in range(_MOST_SPECULATED, 0, -1):
        tried = replace(settings, n_speculative_tokens=n)
        if printed in _possible_blocks(model, tried):
            return tried, f"{n} speculated tokens, by the attention block printed"
    return replace(settings, n_speculative_tokens=1), "1 speculated token assumed"


def _possible_blocks(model: ServedModel, settings: VllmSettings) -> dict[int | None, VllmSettings]:
    """Attention blocks of a hybrid with the cache in the type asked for, and in FP8 where that is left open."""
    found: dict[int | None, VllmSettings] = {}
    caches = [settings.kv_cache_dtype]
    if settings.kv_cache_dtype == "auto" and settings.version >= CHECKPOINT_CACHE:
        caches.append("fp8")
    for cache in caches:
        tried = replace(settings, kv_cache_dtype=cache)
        found.setdefault(hybrid_block_tokens(model.network, tried, cache_types(model, tried)), tried)
    return found


def _with_printed_block(
    row: Row, model: ServedModel, settings: VllmSettings, notes: list[str]
) -> VllmSettings:
    printed = whole(row, "hybrid_attn_block_tokens")
    chosen = _possible_blocks(model, settings).get(printed)
    if printed is None or chosen is None or chosen.kv_cache_dtype == settings.kv_cache_dtype:
        return settings
    notes.append("an FP8 cache, which the checkpoint asks for, by the attention block printed")
    return chosen


def vllm_components(row: Row, model: ServedModel, layout_is_known: str | None) -> Iterator[Component]:
    """Every figure that the row has or could have; `layout_is_known` is a reason why the weights are not."""
    settings, _ = row_settings(row, model)
    yield _weights(row, model, settings, layout_is_known)
    yield from _given_pool(row, model, settings)
    yield from _from_flags(row, model, settings, layout_is_known)


def _gib(row: Row, column: str) -> float | None:
    value = number(row, column)
    return None if value is None else value * GIB


def _weights(row: Row, model: ServedModel, settings: VllmSettings, unknown: str | None) -> Component:
    measured = _gib(row, "weights_load_gib") or _gib(row, "weights_profile_gib")
    if unknown is not None:
        return Component(name="weights", unit="bytes", expected=None, measured=measured, reason=unknown)
    weights, made = loaded_weights(model, settings)
    return Component(name="weights", unit="bytes", expected=weights.total_bytes + made, measured=measured)


def _given_pool(row: Row, model: ServedModel, settings: VllmSettings) -> Iterator[Component]:
    """Tokens and concurrency of the pool whose size the log prints."""
    kv_bytes = _gib(row, "kv_cache_gib")
    tokens, blocks = number(row, "kv_tokens"), number(row, "gpu_blocks")
    if kv_bytes is None or kv_bytes <= 0:
        reason = "the row has no size of the cache to convert"
        if tokens or blocks:
            yield Component(name="kv_tokens", unit="tokens", expected=None, measured=tokens, reason=reason)
        return
    length = settings.max_model_len or model.network.context_tokens
    if length is None:
        reason = "the row does not say the longest request"
        yield Component(name="kv_tokens", unit="tokens", expected=None, measured=tokens, reason=reason)
        return
    if not row.get("kv_cache_dtype") and "nvfp4" in row.get("model", "").lower():
        reason = "the row does not say the cache's type, and an NVFP4 checkpoint may ask for FP8"
        yield Component(name="kv_tokens", unit="tokens", expected=None, measured=tokens, reason=reason)
        return
    found = pool_capacity(
        model, settings, int(kv_bytes), n_batched_tokens=_batched(row, settings, length), max_model_len=length
    )
    given = "the cache's size as printed"
    if tokens is None and blocks is not None:
        block = settings.block_size or 16
        tokens = blocks * block
    yield Component(name="kv_tokens", unit="tokens", expected=found.n_tokens, measured=tokens, given=given)
    yield Component(
        name="concurrency",
        unit="x",
        expected=found.concurrency,
        measured=number(row, "max_concurrency_x"),
        given=given,
    )


def _batched(row: Row, settings: VllmSettings, length: int) -> int:
    """Tokens of a step: stated, else the default of the GPU; of a large one where the row does not name it."""
    gpu = _gpu(row)
    size, name = (gpu.total_bytes, gpu.name) if gpu else (LARGE_GPU_BYTES, "")
    return batched_tokens(settings, length, size, name)


def _gpu(row: Row) -> ServingGpu | None:
    total, name = number(row, "total_gpu_mem_gib"), (row.get("gpu") or "").strip()
    bare = re.sub(r"^\d+ ?x ", "", name)
    if total is not None:
        return ServingGpu(name=bare, total_bytes=int(total * GIB), free_bytes=int(total * GIB))
    if not bare:
        return None
    try:
        found = find_accelerator(bare)
    except HardwareError:
        return None
    hidden = 0 if found.unified_memory else HIDDEN_BYTES
    size = found.memory_bytes - hidden
    return ServingGpu(name=found.name, total_bytes=size, free_bytes=size)


def _from_flags(
    row: Row, model: ServedModel, settings: VllmSettings, unknown: str | None
) -> Iterator[Component]:
    """Activation, other memory, graphs and the cache's size, from model, GPU and flags alone."""
    columns = (("activation", "activation_peak_gib", ACTIVATION), ("non_torch", "non_torch_gib", OTHER),
               ("graphs", "cuda_graph_est_gib", GRAPHS))  # fmt: skip
    measured = {name: _gib(row, column) for name, column, _ in columns} | {
        "kv_pool": _gib(row, "kv_cache_gib")
    }
    gpu = _gpu(row)
    reason = unknown
    if gpu is None:
        reason = "the row does not say on which GPU it ran, nor its memory"
    try:
        found = vllm_memory(model, settings, gpu) if gpu is not None else None
    except PlannerError as error:
        found, reason = None, str(error)
    for name, _, term in columns:
        expected = None if found is None else float(found.ranks[0].term_bytes(term))
        yield Component(
            name=name, unit="bytes", expected=expected, measured=measured[name],
            reason=reason if expected is None else None,
        )  # fmt: skip
    kv = None if found is None or unknown else float(found.tightest.kv_bytes)
    bounds = None if found is None or kv is None else found.tightest.kv_bounds
    yield Component(
        name="kv_pool",
        unit="bytes",
        low=float(bounds.low) if bounds else None,
        high=float(bounds.high) if bounds else None,
        expected=kv,
        measured=measured["kv_pool"],
        reason=None if kv is not None else reason,
    )
