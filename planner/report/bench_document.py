"""Benchmark runs as documents: what was measured, beside what had been predicted; lists; comparisons."""

from collections.abc import Callable, Mapping, Sequence

from hardware.units import format_bytes
from planner.estimate.measurement import BenchRun, Measurement
from planner.estimate.speed import SpeedEstimate
from planner.load.load_test import LoadTest
from planner.report.document import Document, Table
from planner.report.kept_loads import loads_table
from planner.report.load_document import load_data
from planner.report.quantities import interval, rate
from planner.report.run_data import run_data

_QUARTILE_NOTE = "quartile: the rate at the lower quartile of time, which later estimates use"
_SYNTHETIC_NOTE = "the range of a synthetic figure should hold the model's own speed four times in five"


def bench_document(run: BenchRun, predicted: Mapping[str, SpeedEstimate]) -> Document:
    """One benchmark run, beside what had been estimated of each test before it."""
    rows = []
    for measured in run.measurements:
        estimate = predicted.get(measured.name)
        known = estimate.tokens_per_s if estimate else None
        rows.append((measured.name, *_cells(measured), "–" if known is None else interval(known)))
    threads = f"{run.n_threads} thread{'s' if run.n_threads > 1 else ''}"
    build = run.engine_build.partition(";")[0]  # the list of CPU features behind it is in the data
    synthetic = ", synthetic" if run.synthetic else ""
    answer = [f"{run.model_name} {run.quantization}{synthetic}: {build}, {run.backend}, {threads}."]
    if run.memory is not None:
        answer.append(
            f"llama.cpp allocated {format_bytes(run.memory.total_bytes)} at {run.n_context_tokens:,} tokens."
        )
    if run.synthetic is not None:
        layers = " and ".join(str(len(file.layers)) for file in run.synthetic.files)
        answer.append(
            f"The model was not run: {layers} of its {run.synthetic.n_layers} layers were, with random weights."
        )
    if energy := [m for m in run.measurements if m.joules_per_token is not None]:
        counters = ", ".join(run.conditions.energy_counters) if run.conditions else ""
        each = ", ".join(f"{m.name} {m.joules_per_token:.3g}" for m in energy)
        answer.append(f"Joules per token ({counters}; idle power included): {each}.")
    return Document(
        schema="planner.bench/1",
        title=f"{'Synthetic benchmark' if run.synthetic else 'Benchmark'} of {run.model_name}",
        answer=tuple(answer),
        tables=(
            Table(
                title="",
                headers=("test", "tok/s", "± sd", "n", _rate_header(run), "predicted before (80 %)"),
                rows=tuple(rows),
                right=(1, 2, 3, 4, 5),
            ),
        ),
        notes=(*run.notes, _SYNTHETIC_NOTE if run.synthetic else _QUARTILE_NOTE),
        data=run_data(run),
    )


def _rate_header(run: BenchRun) -> str:
    return "range (80 %)" if run.synthetic else "quartile"


def _cells(measured: Measurement) -> tuple[str | int, ...]:
    if measured.low_s is not None and measured.high_s is not None:
        low, high = measured.n_tokens / measured.high_s, measured.n_tokens / measured.low_s
        return rate(measured.quartile_tokens_per_s), "–", "–", f"{rate(low)}–{rate(high)}"
    return (
        rate(measured.mean_tokens_per_s),
        rate(measured.stddev_tokens_per_s),
        len(measured.samples_s),
        rate(measured.quartile_tokens_per_s),
    )


def runs_document(
    runs: Sequence[tuple[str, BenchRun]],
    warnings: Sequence[str],
    here: str,
    loads: Sequence[tuple[str, LoadTest]] = (),
) -> Document:
    """The benchmarks and load tests that are kept, newest first; `here` is this machine's fingerprint."""
    rows = []
    for run_id, run in reversed(runs):
        tests = ", ".join(f"{m.name} {rate(m.quartile_tokens_per_s)}" for m in run.measurements)
        rows.append(
            (
                run_id,
                run.measured_at[:16].replace("T", " "),
                f"{run.model_name} {run.quantization}",
                run.engine + (", synthetic" if run.synthetic else ""),
                "here" if run.machine_fingerprint == here else run.machine_name,
                tests,
            )
        )
    n, n_loads = len(runs), len(loads)
    said = f"{n} benchmark{'' if n == 1 else 's'}"
    if loads:
        said += f" and {n_loads} load test{'' if n_loads == 1 else 's'}"
    table = (
        Table(
            title="",
            headers=("id", "measured (UTC)", "model", "engine", "machine", "tok/s at the lower quartile"),
            rows=tuple(rows),
        ),
    )
    return Document(
        schema="planner.bench_list/1",
        title="Benchmarks",
        answer=(f"{said} kept.",),
        tables=(*(table if runs or not loads else ()), *((loads_table(loads),) if loads else ())),
        notes=tuple(warnings),
        data={
            "runs": [{"id": run_id, **run_data(run)} for run_id, run in runs],
            "loads": [{"id": test_id, **load_data(test)} for test_id, test in loads],
            "warnings": list(warnings),
        },
    )


def comparison_document(runs: Sequence[tuple[str, BenchRun]]) -> Document:
    """Runs side by side, test by test, with the others' rates relative to the first's."""
    names = list(dict.fromkeys(m.name for _, run in runs for m in run.measurements))
    first = {m.name: m.quartile_tokens_per_s for m in runs[0][1].measurements}
    rows = []
    for name in names:
        cells: list[str] = []
        for index, (_, run) in enumerate(runs):
            found = next((m.quartile_tokens_per_s for m in run.measurements if m.name == name), None)
            if found is None:
                cells.append("–")
            elif index and name in first:
                cells.append(f"{rate(found)} ({found / first[name] - 1:+.1%})")
            else:
                cells.append(rate(found))
        rows.append((name, *cells))
    return Document(
        schema="planner.bench_compare/1",
        title="Benchmarks compared",
        answer=tuple(f"{run_id}: {_described(run)}." for run_id, run in runs),
        tables=(
            Table(
                title="",
                headers=("test", *(run_id for run_id, _ in runs)),
                rows=tuple(rows),
                right=tuple(range(1, len(runs) + 1)),
            ),
        ),
        notes=(*_differences([run for _, run in runs]), "tok/s at the lower quartile of time"),
        data={"runs": [{"id": run_id, **run_data(run)} for run_id, run in runs]},
    )


def _described(run: BenchRun) -> str:
    synthetic = ", synthetic" if run.synthetic else ""
    return (
        f"{run.model_name} {run.quantization}{synthetic} on {run.machine_name}, {run.backend}, "
        f"{run.n_threads} threads, {run.measured_at[:16].replace('T', ' ')} UTC"
    )


_FACTS: Mapping[str, Callable[[BenchRun], object]] = {
    "model file": lambda run: run.model_fingerprint,
    "machine": lambda run: run.machine_fingerprint,
    "engine build": lambda run: run.engine_build,
    "threads": lambda run: run.n_threads,
    "GPU layers": lambda run: run.n_gpu_layers,
    "batch sizes": lambda run: (run.n_batch, run.n_ubatch),
    "cache type": lambda run: run.kv_type,
    "flash attention": lambda run: run.flash_attention,
    "synthetic": lambda run: run.synthetic is not None,
}


def _differences(runs: Sequence[BenchRun]) -> tuple[str, ...]:
    """What else differs between the runs, so that nobody takes it for the cause that they look for."""
    differing = [name for name, fact in _FACTS.items() if len({fact(run) for run in runs}) > 1]
    return (f"the runs differ in: {', '.join(differing)}",) if differing else ()
