"""What benchmarks on this very machine say about other models, and about the same one.

A benchmarked file keeps its measured speed, scaled by the bytes or FLOP of the question. For other models the
estimate is corrected by how far the benchmarks strayed from theirs; where there is no estimate (a device that
no profile knows), they get the sustained rate per byte or FLOP. How far either carries over is measured too:
`TransferSpread` holds the quantiles of measured / expected speed for machines calibrated on one model and
scored on the others.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from hardware.spec import Basis
from planner.estimate.described_model import DescribedModel
from planner.estimate.measurement import BenchRun, Measurement, Phase
from planner.estimate.placement import Placement
from planner.estimate.term import Interval
from profiles.errors import ProfileError

# What a handful of repetitions cannot show: on machines with slow phases the lower quartile of five or more
# repeats within 3 %, while fewer may all lie in one phase, and those differ by 20 %.
_LEAST_SPREAD = 0.03
_LEAST_SPREAD_OF_FEW = 0.2
_ENOUGH_REPETITIONS = 5

TransferMethod = Literal["line", "rate"]  # correct an estimate, or take the rate per byte or FLOP
WorkAt = Callable[[int], float]  # bytes or FLOP as a function of depth or prompt length


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferSpread:
    """Quantiles (10 % and 90 %) of measured / expected when one model calibrates the others."""

    phase: Phase
    method: TransferMethod
    low_ratio: float
    high_ratio: float
    n_measurements: int
    source: str


def spreads_from_rows(rows: Iterable[Mapping[str, str | None]]) -> tuple[TransferSpread, ...]:
    """The rows of `calibrations/transfer.csv` as records; raises ProfileError naming the row."""
    found = []
    for row in rows:
        try:
            phase, method = row["phase"], row["method"]
            if phase not in ("prefill", "decode") or method not in ("line", "rate"):
                raise ValueError(f"phase {phase!r}, method {method!r}")
            found.append(
                TransferSpread(
                    phase="prefill" if phase == "prefill" else "decode",
                    method="line" if method == "line" else "rate",
                    low_ratio=float(row["low_ratio"] or ""),
                    high_ratio=float(row["high_ratio"] or ""),
                    n_measurements=int(row["n_measurements"] or ""),
                    source=row["source"] or "",
                )
            )
        except (KeyError, ValueError) as error:
            raise ProfileError(f"calibrations/transfer.csv, row {row.get('id')!r}: {error}") from error
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """How many times faster than expected benchmarks ran here, and how well that carries to other models."""

    factor: float
    spread: TransferSpread
    n_runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalRates:
    """Benchmarks of this machine, newest last, and how well they carry over to other models."""

    runs: tuple[BenchRun, ...]
    spreads: tuple[TransferSpread, ...]

    def decode(
        self,
        model: DescribedModel,
        placement: Placement,
        read_bytes_at: WorkAt,
        depth_tokens: int,
        marginal_bytes_per_s: float | None,
    ) -> Interval | None:
        """Decode speed at a depth from benchmarks of the same file, or None without any.

        What another depth reads more or less than the test is priced at the marginal rate; without one, the
        whole time is taken to grow with the bytes, which overstates the cost of depth for small models.
        """
        own = self._own("decode", model, placement)
        if own is not None:
            # A test that generates n tokens from a depth sees that depth plus n/2 on average.
            middle = own[1].n_depth_tokens + own[1].n_generated_tokens // 2
            here, there = read_bytes_at(middle), read_bytes_at(depth_tokens)
            scale = here / there
            if marginal_bytes_per_s is not None:
                tested_s = 1 / own[1].quartile_tokens_per_s
                asked_s = tested_s + (there - here) / marginal_bytes_per_s
                # Less to read cannot make up for more than reading it took.
                scale = tested_s / max(asked_s, tested_s * min(1.0, there / here))
            return _own_interval(*own, scale=scale)
        return None

    def decode_by_rate(self, placement: Placement, read_bytes: float) -> Interval | None:
        """Decode speed of another model at the bytes per second that benchmarks sustained."""
        rates = [
            run.read_bytes_per_token * measured.quartile_tokens_per_s
            for run, measured in self._usable("decode", placement)
            if run.read_bytes_per_token is not None
        ]
        return self._carried_over("decode", rates, read_bytes)

    def prefill(
        self, model: DescribedModel, placement: Placement, flop_at: WorkAt, n_prompt_tokens: int
    ) -> Interval | None:
        """Prompt speed for a length from benchmarks of the same file, or None without any."""
        per_token = flop_at(n_prompt_tokens) / n_prompt_tokens
        own = self._own("prefill", model, placement)
        if own is not None:
            n_measured = own[1].n_prompt_tokens
            return _own_interval(*own, scale=flop_at(n_measured) / n_measured / per_token)
        return None

    def prefill_by_rate(self, placement: Placement, flop_per_token: float) -> Interval | None:
        """Prompt speed of another model at the FLOP per second that benchmarks sustained."""
        rates = [
            2 * run.matmul_parameters_per_token * measured.quartile_tokens_per_s
            for run, measured in self._usable("prefill", placement)
            if run.matmul_parameters_per_token is not None
        ]
        return self._carried_over("prefill", rates, flop_per_token)

    def correction(
        self, phase: Phase, placement: Placement, expected_s: Callable[[BenchRun, Measurement], float | None]
    ) -> Correction | None:
        """How many times faster than expected this machine's benchmarks ran, for correcting an estimate.

        `expected_s` gives the seconds that a test would have been expected to take, None where unknown.
        """
        spread = self._spread(phase, "line")
        ratios = []
        for run, measured in self._usable(phase, placement):
            seconds = expected_s(run, measured)
            if seconds is not None:
                ratios.append(seconds * measured.quartile_tokens_per_s / measured.n_tokens)
        if spread is None or not ratios:
            return None
        return Correction(factor=median(ratios), spread=spread, n_runs=len(ratios))

    def _spread(self, phase: Phase, method: TransferMethod) -> TransferSpread | None:
        return next((s for s in self.spreads if (s.phase, s.method) == (phase, method)), None)

    def _usable(self, phase: Phase, placement: Placement) -> list[tuple[BenchRun, Measurement]]:
        return [
            (run, measured)
            for run in self.runs
            if _same_place(run, placement)
            for measured in (run.measurement(phase),)
            if measured is not None
        ]

    def _own(
        self, phase: Phase, model: DescribedModel, placement: Placement
    ) -> tuple[BenchRun, Measurement] | None:
        own = [
            pair
            for pair in self._usable(phase, placement)
            if model.fingerprint is not None and pair[0].model_fingerprint == model.fingerprint
        ]
        run_here = [pair for pair in own if pair[0].synthetic is None]
        return (
            (run_here or own)[-1] if own else None
        )  # a run of the model itself counts before a synthetic one

    def _carried_over(self, phase: Phase, rates: Sequence[float], work_per_token: float) -> Interval | None:
        spread = self._spread(phase, "rate")
        if spread is None or not rates:
            return None
        expected = median(rates) / work_per_token
        return Interval(
            low=expected * spread.low_ratio,
            expected=expected,
            high=expected * spread.high_ratio,
            basis=Basis.DERIVED,
            source=f"{len(rates)} benchmark{'s' if len(rates) > 1 else ''} of other models here; {spread.source}",
        )


def _same_place(run: BenchRun, placement: Placement) -> bool:
    """Whether a benchmark ran where the placement would: all in RAM, or all on the GPU."""
    if run.backend == "CPU" or run.n_gpu_layers == 0:
        return placement.split.n_gpu_layers == 0
    return placement.split.n_gpu_layers > placement.n_layers and not placement.split.n_cpu_moe


def _own_interval(run: BenchRun, measured: Measurement, *, scale: float) -> Interval:
    if measured.low_s is not None and measured.high_s is not None:
        return Interval(
            low=measured.n_tokens / measured.high_s * scale,
            expected=measured.quartile_tokens_per_s * scale,
            high=measured.n_tokens / measured.low_s * scale,
            basis=Basis.DERIVED,
            source=f"{measured.name} of this file here on {run.measured_at[:10]}, synthetic: extrapolated from layers "
            "with random weights",
        )
    rates: Sequence[float] = sorted(measured.rates_tokens_per_s)
    expected = measured.quartile_tokens_per_s
    tenth = rates[int(0.1 * (len(rates) - 1))]
    least = _LEAST_SPREAD if len(rates) >= _ENOUGH_REPETITIONS else _LEAST_SPREAD_OF_FEW
    low = min(tenth, expected * (1 - least))
    high = max(rates[-1], expected * (1 + least))
    return Interval(
        low=low * scale,
        expected=expected * scale,
        high=high * scale,
        basis=Basis.MEASURED,
        source=f"{measured.name} of this file here on {run.measured_at[:10]}, {len(rates)} repetitions",
    )
