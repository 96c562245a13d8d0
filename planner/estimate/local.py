"""Benchmarks on this very machine: of the very file that is asked about, and the plain rates they sustained.

A benchmarked file keeps its measured speed. What benchmarks say about other models is taught to the speed model
(`own_bench`); only where that knows nothing of the device, others get the rate per byte or FLOP.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from hardware.spec import Basis
from planner.estimate.described_model import DescribedModel
from planner.estimate.measurement import BenchRun, Measurement, Phase
from planner.estimate.placement import Placement
from planner.estimate.term import Interval
from planner.speed.intervals import Spread

# What a handful of repetitions cannot show: on machines with slow phases the lower quartile of five or more
# repeats within 3 %, while fewer may all lie in one phase, and those differ by 20 %.
_LEAST_SPREAD = 0.03
_LEAST_SPREAD_OF_FEW = 0.2
_ENOUGH_REPETITIONS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalRates:
    """Benchmarks of this machine, newest last."""

    runs: tuple[BenchRun, ...]

    def of_file(self, phase: Phase, model: DescribedModel, placement: Placement) -> "OwnTest | None":
        """The newest benchmark of the very file where the placement would run it."""
        own = [pair for pair in self._here(phase, placement) if is_of(pair[0], model)]
        # A run of the model itself counts before a synthetic one.
        run_here = [pair for pair in own if pair[0].synthetic is None]
        return newest(run_here or own) if own else None

    def decode_by_rate(
        self, placement: Placement, read_bytes: float, spread: Spread | None
    ) -> Interval | None:
        """Decode speed of another model at the bytes per second that benchmarks sustained."""
        rates = [
            run.read_bytes_per_token * measured.quartile_tokens_per_s
            for run, measured in self._usable("decode", placement)
            if run.read_bytes_per_token is not None
        ]
        return _carried_over(rates, read_bytes, spread)

    def prefill_by_rate(
        self, placement: Placement, flop_per_token: float, spread: Spread | None
    ) -> Interval | None:
        """Prompt speed of another model at the FLOP per second that benchmarks sustained."""
        rates = [
            2 * run.matmul_parameters_per_token * measured.quartile_tokens_per_s
            for run, measured in self._usable("prefill", placement)
            if run.matmul_parameters_per_token is not None
        ]
        return _carried_over(rates, flop_per_token, spread)

    def _usable(self, phase: Phase, placement: Placement) -> list[tuple[BenchRun, Measurement]]:
        """Runs that say something of other models: what was extrapolated is not taken for measured."""
        return [pair for pair in self._here(phase, placement) if pair[0].synthetic is None]

    def _here(self, phase: Phase, placement: Placement) -> list[tuple[BenchRun, Measurement]]:
        return [
            (run, measured)
            for run in self.runs
            if same_place(run, placement)
            for measured in (run.measurement(phase),)
            if measured is not None
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTest:
    """A test of a file on this machine, and what earlier benchmarks of it found with the same program."""

    run: BenchRun
    measured: Measurement
    earlier_tokens_per_s: tuple[float, ...] = ()

    def interval(self, *, scale: float = 1.0) -> Interval:
        """What was measured, times what the question takes less; from the slowest to the fastest time it was asked.

        A machine that was slower an hour ago, for its heat or for other programs on it, may be so again.
        """
        found = own_interval(self.run, self.measured, scale=scale)
        rates = [rate * scale for rate in self.earlier_tokens_per_s]
        if not rates or (found.low <= min(rates) and max(rates) <= found.high):
            return found
        return replace(
            found,
            low=min(found.low, *rates),
            high=max(found.high, *rates),
            source=f"{found.source}; {len(rates)} earlier, which strayed further",
        )


def newest(tests: Sequence[tuple[BenchRun, Measurement]]) -> OwnTest:
    """The last of some tests of a file, and those before it that are repetitions of it."""
    run, measured = tests[-1]
    earlier = [
        one.quartile_tokens_per_s for before, one in tests[:-1] if _repeats(before, one, run, measured)
    ]
    return OwnTest(run=run, measured=measured, earlier_tokens_per_s=tuple(earlier))


def _repeats(before: BenchRun, one: Measurement, run: BenchRun, measured: Measurement) -> bool:
    """Whether a test was the same work, done by the same program in the same way."""
    return (one.name, before.engine_build, before.n_threads, before.synthetic is None) == (
        measured.name, run.engine_build, run.n_threads, run.synthetic is None,
    )  # fmt: skip


def is_of(run: BenchRun, model: DescribedModel) -> bool:
    """Whether it is the same file; of a model that was never downloaded, the same name and quantization."""
    if model.fingerprint is not None:
        return run.model_fingerprint == model.fingerprint
    same = run.model_name == model.name and run.quantization == model.storage.label
    return same and run.synthetic is not None and not run.model_fingerprint


def _carried_over(rates: Sequence[float], work_per_token: float, spread: Spread | None) -> Interval | None:
    if spread is None or not rates:
        return None
    expected = median(rates) / work_per_token
    return Interval(
        low=expected * spread.low_ratio,
        expected=expected,
        high=expected * spread.high_ratio,
        basis=Basis.DERIVED,
        source=f"{len(rates)} benchmark{'s' if len(rates) > 1 else ''} of other models here, by nothing but their rate; "
        f"{spread.n_groups} groups of measurements of other devices",
    )


def same_place(run: BenchRun, placement: Placement) -> bool:
    """Whether a benchmark ran where the placement would: all in RAM, or all on the GPU."""
    if run.backend == "CPU" or run.n_gpu_layers == 0:
        return placement.split.n_gpu_layers == 0
    return placement.split.n_gpu_layers > placement.n_layers and not placement.split.n_cpu_moe


def own_interval(run: BenchRun, measured: Measurement, *, scale: float) -> Interval:
    """What one benchmark measured, times what the question takes less; no surer than a few repetitions can be."""
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
