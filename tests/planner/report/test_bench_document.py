"""Benchmarks as documents: synthetic ones say so everywhere, energy is per token, comparisons name what differs."""

import json
from dataclasses import replace

import pytest

from planner.cli.render import as_csv, as_json, as_markdown, as_table
from planner.estimate.measurement import BenchRun, Conditions, Measurement, ShallowRun, ShallowTest, Synthetic
from planner.report.bench_document import bench_document, comparison_document, runs_document
from tests.planner.bench.test_store import RUN

CONDITIONS = Conditions(
    measuring_s=60.0,
    other_cores=1.5,
    n_throttled=0,
    clock_hz=3e9,
    temperature_c=70.0,
    on_battery=False,
    energy_counters=("RAPL package-0",),
)


def synthetic() -> BenchRun:
    test = ShallowTest(
        phase="decode", n_tokens=128, n_depth_tokens=0, work=1e9, samples_s=(1.0, 1.1), cpu_s=(2.0, 2.2)
    )
    files = tuple(
        ShallowRun(layers=tuple(range(n)), n_bytes=n, other_bytes=0, tests=(test,)) for n in (7, 15)
    )
    decode = Measurement(
        phase="decode",
        n_prompt_tokens=0,
        n_generated_tokens=128,
        n_depth_tokens=0,
        samples_s=(2.0,),
        low_s=1.6,
        high_s=2.56,
    )
    return replace(
        RUN,
        measurements=(decode,),
        memory=None,
        synthetic=Synthetic(n_layers=30, files=files, disk_bytes=22, writing_s=0.1),
    )


def test_a_synthetic_run_says_so_in_every_format() -> None:
    document = bench_document(synthetic(), {})
    for text in (as_table(document), as_markdown(document)):
        assert "synthetic" in text.lower()
        # 128 tokens in 2 s, between 1.6 and 2.56 s.
        assert "64.0" in text
        assert "50.0–80.0" in text
    assert "7 and 15 of its 30 layers" in " ".join(document.answer)
    data = json.loads(as_json(document))
    assert data["synthetic"]["n_layers"] == 30
    assert data["synthetic"]["files"][1]["tests"][0]["samples_s"] == [1.0, 1.1]
    assert "50.0–80.0" in as_csv(document)
    listed = as_csv(runs_document([("ab", synthetic())], (), "cd"))
    assert "synthetic" in listed


def test_energy_is_per_token_and_names_its_counters() -> None:
    # Two repetitions of 512 tokens took 204.8 J: 0.2 J for each.
    measured = replace(RUN.measurements[0], energy_j=204.8)
    assert measured.joules_per_token == pytest.approx(0.2)
    run = replace(RUN, measurements=(measured,), conditions=CONDITIONS)
    document = bench_document(run, {})
    assert document.answer[-1] == "Joules per token (RAPL package-0; idle power included): pp512 0.2."
    data = json.loads(as_json(document))
    assert data["conditions"]["other_cores"] == 1.5
    assert data["measurements"][0]["joules_per_token"] == pytest.approx(0.2)


def test_without_counters_nothing_is_said_of_energy() -> None:
    assert RUN.measurements[0].joules_per_token is None
    assert "Joules" not in " ".join(bench_document(RUN, {}).answer)


def test_several_sequences_count_all_their_tokens() -> None:
    batched = replace(RUN.measurements[1], n_sequences=8, n_depth_tokens=0)
    assert batched.name == "tg128 x8"
    assert batched.quartile_tokens_per_s == pytest.approx(8 * 128 / 1.25)
    run = replace(RUN, measurements=(batched,))
    assert run.measurement("decode") is None  # it is no speed of one sequence


def test_a_comparison_names_what_else_differs() -> None:
    faster = replace(
        RUN,
        n_threads=4,
        measurements=tuple(
            replace(m, samples_s=tuple(sample / 2 for sample in m.samples_s)) for m in RUN.measurements
        ),
    )
    document = comparison_document([("a", RUN), ("b", faster)])
    assert all("+100.0%" in str(row[2]) for row in document.tables[0].rows)
    assert document.notes[0] == "the runs differ in: threads"
    assert comparison_document([("a", RUN), ("b", RUN)]).notes == ("tok/s at the lower quartile of time",)
