"""`planner bench` as a document: what was measured, and what had been predicted."""

from collections.abc import Mapping

from hardware.units import format_bytes
from planner.estimate.measurement import BenchRun, Phase
from planner.estimate.speed import SpeedEstimate
from planner.report.document import Document, Table
from planner.report.quantities import interval, rate
from planner.report.run_data import run_data


def bench_document(run: BenchRun, predicted: Mapping[Phase, SpeedEstimate]) -> Document:
    """One benchmark run, beside what was estimated before it from an empty cache."""
    rows = []
    for measured in run.measurements:
        estimate = None if measured.n_depth_tokens else predicted.get(measured.phase)
        known = estimate.tokens_per_s if estimate else None
        rows.append(
            (
                measured.name,
                rate(measured.mean_tokens_per_s),
                rate(measured.stddev_tokens_per_s),
                len(measured.samples_s),
                rate(measured.quartile_tokens_per_s),
                "–" if known is None else interval(known),
            )
        )
    threads = f"{run.n_threads} thread{'s' if run.n_threads > 1 else ''}"
    build = run.engine_build.partition(";")[0]  # the list of CPU features behind it is in the data
    answer = [f"{run.model_name} {run.quantization}: {build}, {run.backend}, {threads}."]
    if run.memory is not None:
        answer.append(
            f"llama.cpp allocated {format_bytes(run.memory.total_bytes)} at {run.n_context_tokens:,} tokens."
        )
    return Document(
        schema="planner.bench/1",
        title=f"Benchmark of {run.model_name}",
        answer=tuple(answer),
        tables=(
            Table(
                title="",
                headers=("test", "tok/s", "± sd", "n", "quartile", "predicted before (80 %)"),
                rows=tuple(rows),
                right=(1, 2, 3, 4, 5),
            ),
        ),
        notes=(*run.notes, "quartile: the rate at the lower quartile of time, which later estimates use"),
        data=run_data(run),
    )
