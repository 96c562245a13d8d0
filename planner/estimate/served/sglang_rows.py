"""A recorded start-up of SGLang: its settings, and its figures predicted one by one."""

from collections.abc import Iterator, Mapping

from hardware.units import GIB
from planner.engines.release import parse_release
from planner.engines.sglang.pool import tokens_of_kv_bytes
from planner.engines.sglang.settings import LATEST, SglangSettings
from planner.engines.sharding import Parallel, stage_problem
from planner.errors import MalformedError, MissingFactError
from planner.estimate.served.component import Component, number, whole
from planner.estimate.served.model import ServedModel
from planner.estimate.served.sglang_memory import model_cell, pool_after_load, sglang_weights

Row = Mapping[str, str]


def row_settings(row: Row) -> SglangSettings:
    """The settings that a row states. Raises MissingFactError where it leaves out over how many devices it runs."""
    tensor = whole(row, "tp")
    if tensor is None:
        raise MissingFactError("the row does not say over how many devices the model is split (tp)")
    replicas = (whole(row, "dp") or 1) if row.get("sgl_dp_attention") == "True" else 1
    expert = whole(row, "ep") or 1
    version = row.get("version") or ""
    try:
        parallel = Parallel(
            tensor=tensor, pipeline=whole(row, "pp") or 1, expert=expert, attention_replicas=replicas
        )
        return _settings(row, parallel, version)
    except ValueError as error:
        raise MalformedError(f"the row's settings make no sense: {error}") from error


def _settings(row: Row, parallel: Parallel, version: str) -> SglangSettings:
    return SglangSettings(
        version=parse_release(version) if version else LATEST,
        parallel=parallel,
        context_length=whole(row, "max_model_len"),
        mem_fraction_static=number(row, "gpu_memory_utilization_or_mem_fraction"),
        max_running_requests=whole(row, "max_num_seqs_or_running"),
        kv_cache_dtype=row.get("kv_cache_dtype") or "auto",
        all_to_all=parallel.expert > 1,
        on_npu=row.get("device") == "npu",
    )


def sglang_components(row: Row, model: ServedModel, layout_is_known: str | None) -> Iterator[Component]:
    """Weights, the pool from what is free after loading, tokens of the pool printed, and recurrent state."""
    settings = row_settings(row)
    problem = stage_problem(model.network.n_layers, settings.parallel.pipeline)
    if problem is not None:
        raise MalformedError(f"the row's split over devices makes no sense: {problem}")
    measured = _gib(row, "weights_load_gib")
    if layout_is_known is None:
        weights, made = sglang_weights(model, settings)
        expected: float | None = weights.total_bytes + made
    else:
        expected = None
    yield Component(
        name="weights", unit="bytes", expected=expected, measured=measured, reason=layout_is_known
    )
    if settings.on_npu and not row.get("version") and model_cell(model, settings).state_bytes:
        reason = (
            "the version is not stated, and before 0.5.10 every layer of a hybrid had a pool on Ascend NPUs"
        )
        for name, unit in (("kv_pool", "bytes"), ("kv_tokens", "tokens")):
            measured = number(row, "sgl_kv_tokens") if unit == "tokens" else _printed_pool(row)
            yield Component(name=name, unit=unit, expected=None, measured=measured, reason=reason)
        return
    kv = _printed_pool(row)
    tokens = number(row, "sgl_kv_tokens")
    yield _pool(row, model, settings, measured, kv)
    if kv is not None:
        held = model_cell(model, settings)
        yield Component(
            name="kv_tokens",
            unit="tokens",
            expected=tokens_of_kv_bytes(settings, model.network, held, kv),
            measured=tokens,
            given="the pool's size as printed",
        )
        slots = whole(row, "sgl_mamba_slots")
        state = sum(number(row, column) or 0.0 for column in ("sgl_mamba_conv_gb", "sgl_mamba_ssm_gb"))
        if slots:
            yield Component(
                name="state",
                unit="bytes",
                expected=slots * held.state_bytes,
                measured=state * GIB,
                given="the slots as printed",
            )


def _printed_pool(row: Row) -> float | None:
    """The pool as the log prints it: as one figure, or K and V apart."""
    parts = [number(row, column) for column in ("sgl_k_gb", "sgl_v_gb")]
    return _gib(row, "sgl_kv_gb") or (sum(p for p in parts if p) * GIB if all(parts) else None)


def _gib(row: Row, column: str) -> float | None:
    value = number(row, column)
    return None if value is None else value * GIB


def _pool(
    row: Row, model: ServedModel, settings: SglangSettings, weights: float | None, measured: float | None
) -> Component:
    """The pool by the engine's own inequality, from what it prints to be free before and after loading."""
    after, fraction = _gib(row, "sgl_avail_after_load_gb"), settings.mem_fraction_static
    if after is None or weights is None or fraction is None:
        reason = (
            "the row does not say the device's memory, what is free after loading, or the static fraction"
        )
        return Component(name="kv_pool", unit="bytes", expected=None, measured=measured, reason=reason)
    found = pool_after_load(model, settings, after, after + weights, fraction)
    given = "memory free after loading, and weights"
    return Component(name="kv_pool", unit="bytes", expected=found.kv_bytes, measured=measured, given=given)
