"""How much of a device's stated peak an engine reaches: fitted numbers, kept apart from vendor facts.

    decode:   seconds per token    = read bytes / (memory bytes per s · e) + overhead
    prefill:  seconds for a prompt = FLOP / (matrix FLOP per s · e) + overhead

`e` and the overhead come from published measurements; docs/calibration.md says how and where they are weak.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date as calendar_date
from typing import Literal, get_args

from planner.errors import MissingFactError
from planner.estimate.measurement import Phase
from profiles.errors import ProfileError

ModelClass = Literal["dense", "moe"]
Backend = Literal["cuda", "rocm", "vulkan", "metal", "cpu", "*"]
ANY: Literal["*"] = "*"
MAX_FRACTION = 1.2  # a stated peak may be a conservative one (GeForce FP16 with FP32 accumulation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Efficiency:
    """What one class of devices reaches in one phase, and how far single measurements stray from it.

    `low_ratio` and `high_ratio` are the 10th and 90th percentile of measured speed over expected speed on
    devices that the fit had not seen. `family` is the `architecture` of accelerators.csv, "*" for any.
    """

    phase: Phase
    model_class: ModelClass
    backend: Backend
    family: str
    fraction: float
    overhead_s: float  # per token in decode, per prompt in prefill
    low_ratio: float
    high_ratio: float
    n_measurements: int
    n_devices: int
    fitted_on: str
    date: str  # ISO 8601

    def __post_init__(self) -> None:
        _require(self.phase in get_args(Phase), "phase", self.phase, "prefill or decode")
        _require(self.model_class in get_args(ModelClass), "model_class", self.model_class, "dense or moe")
        _require(
            self.backend in get_args(Backend),
            "backend",
            self.backend,
            f"one of {', '.join(get_args(Backend))}",
        )
        _require(bool(self.family), "family", self.family, "an architecture of accelerators.csv, or *")
        _require(
            0 < self.fraction <= MAX_FRACTION, "fraction", self.fraction, f"above 0, at most {MAX_FRACTION}"
        )
        _require(0 <= self.overhead_s < math.inf, "overhead_s", self.overhead_s, "seconds, not negative")
        _require(0 < self.low_ratio < 1, "low_ratio", self.low_ratio, "above 0 and below 1")
        _require(1 < self.high_ratio < math.inf, "high_ratio", self.high_ratio, "above 1")
        _require(self.n_measurements >= 1, "n_measurements", self.n_measurements, "at least 1")
        _require(self.n_devices >= 1, "n_devices", self.n_devices, "at least 1")
        if self.backend == ANY and self.family != ANY:
            raise ValueError(f"field 'family': found {self.family!r} for any backend, expected *")
        try:
            calendar_date.fromisoformat(self.date)
        except ValueError:
            raise ValueError(
                f"field 'date': found {self.date!r}, expected a date such as 2026-01-31"
            ) from None


def decode_s_per_token(
    read_bytes: float, memory_bytes_per_s: float, fraction: float, overhead_s: float
) -> float:
    """Seconds that one token of one sequence takes: bytes / (bandwidth · e) + overhead.

    `read_bytes` are the weights a token reads (without the rows of the embedding table that it does not
    look up; of experts the active share) and its KV cache. Holds for batch 1 with everything on the device;
    with layers split over devices their times add up. Williams et al. 2009 (roofline), memory side.
    """
    return read_bytes / (memory_bytes_per_s * fraction) + overhead_s


def matrix_flop_per_s(dense_flop_per_s: Mapping[str, float]) -> float | None:
    """The rate at which matrices can be multiplied, whichever way the vendor states it: max(FP16, INT8 / 2).

    llama.cpp multiplies quantized weights as INT8 and F16 ones with FP16 accumulation; GeForce cards do both
    at twice the FP16 rate that is stated for FP32 accumulation. None where neither rate is known.
    """
    rates = [rate for rate in (dense_flop_per_s.get("fp16"), dense_flop_per_s.get("int8", 0.0) / 2) if rate]
    return max(rates, default=None)


def prefill_s(flop: float, peak_flop_per_s: float, fraction: float, overhead_s: float) -> float:
    """Seconds that a prompt takes: FLOP / (matrix peak · e) + overhead.

    `flop` is 2 · active parameters · tokens (the head once, the embedding table never) + attention. Holds
    from 512 tokens on; shorter prompts wait for weights. Williams et al. 2009 (roofline), compute side.
    """
    return flop / (peak_flop_per_s * fraction) + overhead_s


def choose_efficiency(
    rows: Sequence[Efficiency], *, phase: Phase, model_class: ModelClass, backend: str, family: str
) -> Efficiency:
    """The most specific row: of this backend and family, else of the backend, else of any.

    Raises MissingFactError when there is none.
    """
    # Efficiencies of GPUs say nothing of a processor.
    steps = ((backend, family), (backend, ANY)) + (((ANY, ANY),) if backend != "cpu" else ())
    for wanted in steps:
        for row in rows:
            if (row.phase, row.model_class, row.backend, row.family) == (phase, model_class, *wanted):
                return row
    raise MissingFactError(
        f"no measured efficiency for {phase} of {'MoE' if model_class == 'moe' else model_class} models "
        f"on {family} with {backend}; run a benchmark on this machine, or add a row to the calibration"
    )


def efficiencies_from_rows(rows: Iterable[Mapping[str, str | None]]) -> tuple[Efficiency, ...]:
    """The rows of a calibration file as records; raises ProfileError naming the row and the field."""
    return tuple(_efficiency(row) for row in rows)


def _efficiency(row: Mapping[str, str | None]) -> Efficiency:
    shown = f"calibration row {row.get('id')!r}"
    values: dict[str, object] = {}
    for field in fields(Efficiency):
        cell = row.get(field.name)
        if not cell:
            raise ProfileError(f"{shown}, field {field.name!r}: found nothing, expected a value")
        values[field.name] = _value(cell, field.type, f"{shown}, field {field.name!r}")
    try:
        return Efficiency(**values)  # type: ignore[arg-type]
    except ValueError as error:
        raise ProfileError(f"{shown}, {error}") from error


def _value(cell: str, kind: object, shown: str) -> object:
    if kind is not int and kind is not float:
        return cell
    try:
        return int(cell) if kind is int else float(cell)
    except ValueError:
        wanted = "a whole number" if kind is int else "a number"
        raise ProfileError(f"{shown}: found {cell[:40]!r}, expected {wanted}") from None


def _require(condition: bool, field: str, found: object, expected: str) -> None:
    if not condition:  # NaN fails every comparison, so it ends here too
        raise ValueError(f"field {field!r}: found {found!r}, expected {expected}")
