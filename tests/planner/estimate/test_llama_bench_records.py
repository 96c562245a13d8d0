"""llama-bench's records as runs, and ours as its records: what goes out comes back."""

import json
from dataclasses import replace
from typing import Any

import pytest

from planner.estimate.llama_bench_records import Filed, RecordError, measurement_of_record, runs_of_records
from planner.estimate.measurement import Measurement
from planner.report.llama_bench import as_jsonl, as_markdown, rows
from tests.planner.bench.test_store import RUN


def test_what_is_exported_is_imported_with_its_raw_times() -> None:
    records = [json.loads(line) for line in as_jsonl([RUN]).splitlines()]
    (run,) = runs_of_records(records, Filed())
    assert [m.name for m in run.measurements] == [m.name for m in RUN.measurements]
    assert [m.samples_s for m in run.measurements] == [m.samples_s for m in RUN.measurements]
    assert (run.model_bytes, run.n_parameters, run.n_threads) == (
        RUN.model_bytes,
        RUN.n_parameters,
        RUN.n_threads,
    )
    assert run.measured_at == RUN.measured_at


def test_settings_apart_are_runs_apart() -> None:
    record = next(rows([RUN]))
    runs = list(runs_of_records([record, {**record, "n_threads": 8}], Filed()))
    assert sorted(run.n_threads for run in runs) == [2, 8]


def test_several_sequences_at_once_are_not_llama_benchs() -> None:
    batched = replace(RUN.measurements[1], n_sequences=8)
    assert list(rows([replace(RUN, measurements=(batched,))])) == []


def test_a_mixed_test_is_left_out() -> None:
    assert measurement_of_record({"n_prompt": 512, "n_gen": 128, "samples_ns": [1]}) is None


def test_without_raw_times_the_mean_counts_as_one() -> None:
    found = measurement_of_record({"n_prompt": 512, "n_gen": 0, "avg_ns": 2_000_000_000})
    assert found == Measurement(
        phase="prefill", n_prompt_tokens=512, n_generated_tokens=0, n_depth_tokens=0, samples_s=(2.0,)
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_prompt": "512"},
        {"n_prompt": -1},
        {"n_prompt": True},
        {"samples_ns": []},
        {"samples_ns": [0]},
        {"samples_ns": ["1"]},
        {"samples_ns": [float("inf")]},
        {"samples_ns": [1] * 10_001},
        {"samples_ns": None, "avg_ns": None},
    ],
)
def test_numbers_that_are_none_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RecordError):
        measurement_of_record({"n_prompt": 512, "n_gen": 0, "samples_ns": [1]} | wrong)


def test_markdown_is_llama_benchs_table() -> None:
    lines = as_markdown([RUN]).splitlines()
    # pp512 in 2 and 2.5 s: 256 and 204.8 tok/s, mean 230.4, standard deviation 36.20.
    assert lines[0].startswith(
        "| model                          |       size |     params | backend    | threads |"
    )
    assert lines[2].split("|")[2:] == [
        "  92.10 MiB ", "   134.52 M ", " CPU        ", "       2 ", "           pp512 ", "       230.40 ± 36.20 ", ""
    ]  # fmt: skip
    assert "tg128 @ d4096" in lines[3]
    assert lines[-1].startswith("build: ")
