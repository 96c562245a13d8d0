"""What a report concludes from its record: estimates against measurements, and own machine against APIs.

Computed here once; sentences, tables, charts and JSON all show these same figures.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from hardware.units import TOKENS_PER_MTOK
from planner.engines.llama_cpp import LlamaCppFlags, Split
from planner.estimate.fit import PROMPT_TOKENS, FitRow
from planner.estimate.measurement import EngineMemory, Measurement, Phase
from planner.estimate.memory import devices, memory_loads
from planner.estimate.speed import SpeedEstimate
from planner.estimate.term import Interval
from planner.prices.names import is_same
from planner.report.full import FullReport, PricedApi

# The estimate's terms that make up each component an engine reports; the driver's share it cannot see.
_COMPONENTS: tuple[tuple[str, tuple[str, ...], Callable[[EngineMemory], int]], ...] = (
    ("weights", ("weights", "experts", "embedding"), lambda memory: memory.weights_bytes),
    ("KV cache", ("KV cache",), lambda memory: memory.kv_bytes),
    ("state", ("state",), lambda memory: memory.state_bytes),
    ("compute", ("compute",), lambda memory: memory.compute_bytes),
    ("output", ("output",), lambda memory: memory.output_bytes),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedCheck:
    """One speed, as estimated before any benchmark of this machine and as measured; either may be missing."""

    name: str  # "pp512", or what was estimated when nothing was measured
    phase: Phase
    predicted: Interval | None
    why_not_predicted: str | None
    measured: Measurement | None

    @property
    def ratio(self) -> float | None:
        """Measured over expected."""
        if self.predicted is None or self.measured is None:
            return None
        return self.measured.mean_tokens_per_s / self.predicted.expected

    @property
    def held(self) -> bool | None:
        """Whether the measured mean lies in the estimate's 80 % interval."""
        if self.predicted is None or self.measured is None:
            return None
        return self.predicted.low <= self.measured.mean_tokens_per_s <= self.predicted.high


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryCheck:
    """One component of memory, as estimated and as the engine itself reported it."""

    component: str
    predicted_bytes: int
    reported_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """Own machine against the cheapest API that costs anything, for the report's workload."""

    cheapest: PricedApi | None
    cheapest_is_same_model: bool
    capacity_tokens_per_month: float | None  # one request at a time; None when unknown or it does not fit
    n_machines: int | None  # that the workload takes, one request at a time
    break_even_usd_per_month: float | None  # what one machine may cost before the API is cheaper
    full_break_even_usd_per_month: float | None  # the same for a machine that never rests
    own_usd_per_month: float | None  # all machines that the workload takes
    break_even_tokens_per_month: float | None  # above it one machine at its own cost beats the API


def headline(report: FullReport) -> FitRow:
    """The row that the answer speaks of: the context of the first estimate, with what was measured since."""
    wanted = report.before.placement.flags.n_context_tokens
    rows = (row for row in report.rows if row.placement.flags.n_context_tokens == wanted)
    return next(rows, report.before)


def speed_checks(report: FullReport) -> tuple[SpeedCheck, ...]:
    """Each test of the benchmark with the estimate of the same thing; the estimates alone without a benchmark."""
    before = report.before
    if report.run is None:
        n = before.placement.flags.n_context_tokens
        return (
            _unmeasured(before, f"prompt of {_prompt_tokens(before):,}", "prefill", before.prefill),
            _unmeasured(before, "decode, empty context", "decode", before.decode),
            _unmeasured(before, f"decode, {n:,} cached", "decode", before.decode_full),
        )
    return tuple(_checked(report, measured) for measured in report.run.measurements)


def _prompt_tokens(row: FitRow) -> int:
    return min(PROMPT_TOKENS, row.placement.flags.n_context_tokens)


def _unmeasured(row: FitRow, name: str, phase: Phase, estimate: SpeedEstimate) -> SpeedCheck:
    fits = row.placement.fits  # a model without room has no speed, whatever its bytes and FLOP say
    return SpeedCheck(
        name=name,
        phase=phase,
        predicted=estimate.tokens_per_s if fits else None,
        why_not_predicted=estimate.missing if fits else "the model does not fit",
        measured=None,
    )


def _checked(report: FullReport, measured: Measurement) -> SpeedCheck:
    estimate = report.expected.get(measured.name)
    why_not = estimate.missing if estimate is not None else "there is no estimate of such a test"
    return SpeedCheck(
        name=measured.name,
        phase=measured.phase,
        predicted=None if estimate is None else estimate.tokens_per_s,
        why_not_predicted=why_not,
        measured=measured,
    )


def memory_checks(report: FullReport) -> tuple[MemoryCheck, ...]:
    """Memory by component, estimated for the benchmark's own context and flags, against the engine's report."""
    run = report.run
    if run is None or run.memory is None:
        return ()
    model = report.before.model
    flags = LlamaCppFlags(
        n_context_tokens=run.n_context_tokens,
        n_batch=run.n_batch,
        n_ubatch=run.n_ubatch,
        k_type=run.kv_type.upper(),
        v_type=run.kv_type.upper(),
        flash_attention=run.flash_attention,
    )
    # llama.cpp takes a negative count for "all layers".
    n_gpu_layers = run.n_gpu_layers if run.n_gpu_layers >= 0 else model.network.n_layers + 1
    loads = memory_loads(model, flags, Split(n_gpu_layers=n_gpu_layers), *devices(report.machine))
    checks = []
    for component, names, reported in _COMPONENTS:
        predicted = sum(load.term_bytes(name) for load in loads for name in names)
        if predicted or reported(run.memory):
            checks.append(
                MemoryCheck(
                    component=component, predicted_bytes=predicted, reported_bytes=reported(run.memory)
                )
            )
    return tuple(checks)


def money(report: FullReport) -> Money:
    """Compares for the workload: machines as many as it takes, each serving one request at a time."""
    volume = report.tokens_per_month
    sold = [api for api in report.apis if api.usd_per_month > 0]
    # The same model at a host is the fair comparison; without one, the cheapest model of all.
    cheapest = next((api for api in sold if _is_same_model(report, api)), next(iter(sold), None))
    runs = headline(report).placement.fits or report.run is not None
    capacity = report.capacity_tokens_per_month if runs else None
    n_machines = ceil(volume / capacity) if capacity else None
    own = report.own_usd_per_month
    break_even = full = break_even_tokens = None
    if cheapest is not None:
        if n_machines is not None and capacity is not None:
            break_even = cheapest.usd_per_month / n_machines
            full = cheapest.usd_per_mtok * capacity / TOKENS_PER_MTOK
        if own is not None:
            break_even_tokens = own / cheapest.usd_per_mtok * TOKENS_PER_MTOK
    return Money(
        cheapest=cheapest,
        cheapest_is_same_model=cheapest is not None and _is_same_model(report, cheapest),
        capacity_tokens_per_month=capacity,
        n_machines=n_machines,
        break_even_usd_per_month=break_even,
        full_break_even_usd_per_month=full,
        own_usd_per_month=None if own is None or n_machines is None else own * n_machines,
        break_even_tokens_per_month=break_even_tokens,
    )


def _is_same_model(report: FullReport, api: PricedApi) -> bool:
    return any(is_same(report.opened.name, name) for name in (api.price.model_id, api.price.model_name))
