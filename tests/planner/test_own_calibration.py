"""`planner calibrate` from a person's files to the next estimate, and back."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hardware.inspect import inspect_machine, machine_fingerprint
from planner import api
from planner.api import llama_cpp_factors, machines
from planner.api.llama_cpp_factors import forget_calibration
from planner.bench.load_store import save_load
from planner.bench.store import save_run
from planner.cli.main import planner
from planner.estimate.measurement import BenchRun
from planner.estimate.serving_speed.rate_rows import COLUMNS as RATE_COLUMNS
from planner.speed.factors import Factors
from tests.planner.bench.test_load_store import TEST as LOAD
from tests.planner.bench.test_load_store import level
from tests.planner.bench.test_store import RUN
from tests.planner.readers.measurements.sampled import SAMPLES

BENCH = SAMPLES / "llama_bench.json"
ASK = ("fit", "qwen2.5-7b-instruct", "--on", "RTX 4080, 32GiB", "--quant", "Q4_K_M", "--format", "json")


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("PLANNER_DATA_DIR", str(tmp_path / "data"))
    forget_calibration()
    yield tmp_path / "data"
    forget_calibration()


def run(*arguments: str) -> Result:
    forget_calibration()  # each command is a process of its own
    return CliRunner().invoke(planner, list(arguments))


def answer(*arguments: str) -> Any:
    result = run(*arguments, "--format", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def slower(tmp_path: Path, factor: float, name: str = "slower.json") -> Path:
    """The sample, measured on a machine that is slower by a factor."""
    results = json.loads(BENCH.read_text(encoding="utf-8"))
    path = tmp_path / name
    path.write_text(json.dumps([{**one, "avg_ts": one["avg_ts"] / factor} for one in results]))
    return path


def decode_tokens_per_s(fit: Any) -> float:
    (row,) = [row for row in fit["rows"] if row["quantization"] == "Q4_K_M"][:1]
    return float(row["decode"]["tokens_per_s"]["expected"])


def test_later_estimates_follow_and_say_so_and_there_is_a_way_back(tmp_path: Path) -> None:
    before = run(*ASK)
    assert before.exit_code == 0, before.output
    found = answer("calibrate", str(slower(tmp_path, 1.5)), "--date", "2026-01-02")
    assert (found["n_rows"], found["n_placed"], found["mode"]) == (2, 2, "added")
    after = run(*ASK)
    assert "your calibration of 2026-01-02 (slower.json: 2 rows)" in after.stdout
    assert decode_tokens_per_s(json.loads(after.stdout)) < 0.85 * decode_tokens_per_s(
        json.loads(before.stdout)
    )
    assert answer("calibrate", "--use", "packaged")["in_use"] == "packaged"
    assert run(*ASK).stdout == before.stdout
    assert answer("calibrate", "--use", found["id"])["in_use"] == found["id"]
    assert run(*ASK).stdout == after.stdout


def test_a_calibration_moves_its_device_and_hardly_another(tmp_path: Path) -> None:
    other = ("fit", "qwen2.5-7b-instruct", "--on", "RTX 3060, 32GiB", "--quant", "Q4_K_M", "--format", "json")
    before = decode_tokens_per_s(json.loads(run(*other).stdout))
    answer("calibrate", str(slower(tmp_path, 1.5)))
    assert decode_tokens_per_s(json.loads(run(*other).stdout)) == pytest.approx(before, rel=0.05)


def test_further_files_join_and_the_same_rows_count_once(tmp_path: Path) -> None:
    answer("calibrate", str(BENCH))
    again = answer("calibrate", str(BENCH))
    assert (again["n_rows"], again["n_new_rows"]) == (2, 0)
    joined = answer("calibrate", str(slower(tmp_path, 1.1)))
    assert (joined["n_rows"], joined["n_new_rows"]) == (4, 2)
    fresh = answer("calibrate", str(BENCH), "--fresh")
    assert fresh["n_rows"] == 2
    shown = answer("calibrate", "--show")
    assert shown["in_use"] == fresh["id"]
    assert sorted(one["n_rows"] for one in shown["calibrations"]) == [2, 4]


def test_errors_are_those_of_models_that_a_fit_had_not_seen(tmp_path: Path) -> None:
    one_model = answer("calibrate", str(slower(tmp_path, 1.4)))
    assert one_model["each_model_left_out"] == []
    results = json.loads(BENCH.read_text(encoding="utf-8"))
    other = {
        "model_type": "llama 8B Q4_K - Medium",
        "model_size": 4_920_000_000,
        "model_n_params": 8_030_261_248,
    }
    two = tmp_path / "two.json"
    # Both models 1.4 times slower than the packaged fit expects of this card.
    two.write_text(json.dumps([{**one, **other, "avg_ts": one["avg_ts"] / 1.45} for one in results]))
    found = answer("calibrate", str(two))
    before = {row["class"]: row["median_error_fraction"] for row in found["before"]}
    unseen = {row["class"]: row["median_error_fraction"] for row in found["each_model_left_out"]}
    assert unseen["dense_decode"] < before["dense_decode"]


def test_rows_that_taught_are_not_scored_by_what_they_taught(tmp_path: Path) -> None:
    path = slower(tmp_path, 1.5)
    before = answer("validate", "speed", str(path))["rows"]
    answer("calibrate", str(path))
    assert answer("validate", "speed", str(path))["rows"] == before


def test_another_packaged_fit_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = run(*ASK).stdout
    answer("calibrate", str(slower(tmp_path, 1.5)))
    monkeypatch.setattr(llama_cpp_factors, "packaged_fingerprint", lambda: "of a later version")
    told = run(*ASK).stdout
    assert "is not used: the packaged fit has changed since; `planner calibrate --again`" in told
    assert decode_tokens_per_s(json.loads(told)) == decode_tokens_per_s(json.loads(before))
    shown = answer("calibrate", "--show")
    assert shown["calibrations"][0]["outdated"]


def test_a_calibration_is_made_anew_from_the_rows_it_keeps(tmp_path: Path) -> None:
    path = slower(tmp_path, 1.5)
    first = answer("calibrate", str(path))
    path.unlink()
    again = answer("calibrate", "--again")
    assert (again["n_rows"], again["n_new_rows"], again["id"]) == (2, 0, first["id"])
    assert again["files"] == first["files"]


def test_serving_loads_correct_their_deployment_and_stand_beside_benchmarks(tmp_path: Path) -> None:
    ask = ("fit", "Qwen/Qwen3-32B", "--engine", "vllm", "--on", "2x H100 SXM", "--format", "json")

    def times() -> Any:
        speeds = json.loads(run(*ask).stdout)["speeds"]
        return next(speed for speed in speeds if speed["n_requests"] == 8)

    before = times()
    answer("calibrate", str(BENCH))
    serve = str(SAMPLES / "vllm_serve.json")
    found = answer("calibrate", serve, "--device", "2x H100 SXM", "--engine", "vllm")
    assert (found["n_rows"], found["n_loads"], found["n_placed"]) == (3, 1, 3)
    after = times()
    assert (before["n_own_loads"], after["n_own_loads"]) == (0, 1)
    assert after["tpot_s"]["expected"] != before["tpot_s"]["expected"]
    width = [speed["tpot_s"]["high"] / speed["tpot_s"]["low"] for speed in (before, after)]
    assert width[1] < width[0]
    assert "measured loads of yours" in " ".join(run(*ask[:-2]).stdout.split())
    answer("calibrate", "--use", "packaged")
    assert times() == before


def test_loads_that_mean_nothing_are_left_out_with_the_reason(tmp_path: Path) -> None:
    whole = str(SAMPLES / "vllm_throughput.json")
    result = run("calibrate", whole, "--device", "H100 SXM", "--model", "Qwen/Qwen3-32B")
    assert result.exit_code == 1
    assert "none of the 1 measurements can be placed; the first: a whole batch was timed" in result.stderr
    both = (whole, str(BENCH), "--model", "qwen2.5-7b-instruct")
    found = answer("calibrate", *both, "--device", "RTX 4080")
    assert found["n_placed"] == 2
    assert [item["test"] for item in found["not_placed"]] == ["load"]


def test_throughput_teaches_nothing(tmp_path: Path) -> None:
    path = tmp_path / "throughput.csv"
    path.write_text(f"{','.join(RATE_COLUMNS)}\n{','.join('1' for _ in RATE_COLUMNS)}\n")
    result = run("calibrate", str(path))
    assert result.exit_code == 1
    assert "tells nothing of a single request" in result.stderr


def test_runs_of_this_machine_join_and_others_do_not(data_folder: Path) -> None:
    machine = inspect_machine()
    here = replace(RUN, machine_fingerprint=machine_fingerprint(machine), backend="CUDA", n_gpu_layers=-1,
                   model_name="smollm2-135m-instruct")  # fmt: skip
    elsewhere = replace(here, machine_fingerprint="0" * 64)
    save_run(elsewhere, data_folder / "benchmarks")
    assert "has no run of this machine" in run("calibrate", "--runs").stderr
    save_run(here, data_folder / "benchmarks")
    found = answer("calibrate", "--runs", "--device", "RTX 4090")
    assert (found["n_rows"], len(found["files"])) == (2, 1)


def test_a_run_that_a_calibration_learnt_from_does_not_teach_twice(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = inspect_machine()
    fingerprint = machine_fingerprint(machine)
    here = replace(RUN, machine_fingerprint=fingerprint, backend="CUDA", n_gpu_layers=-1,
                   model_name="smollm2-135m-instruct")  # fmt: skip
    save_run(here, data_folder / "benchmarks")
    answer("calibrate", "--runs", "--device", "RTX 4090")
    taught: list[tuple[str, ...]] = []

    def told(factors: Factors, runs: tuple[BenchRun, ...], _: object) -> Factors:
        taught.append(tuple(run.measured_at for run in runs))
        return factors

    monkeypatch.setattr(machines, "taught_by_runs", told)
    later = replace(here, measured_at="2999-01-01T00:00:00+00:00")
    machines.speed_facts(machine)
    save_run(later, data_folder / "benchmarks")
    machines.speed_facts(machine)
    assert taught == [(), (later.measured_at,)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name files of measurements"),
        (("--show", "--again"), "stands alone"),
        (("--use", "packaged", str(BENCH)), "stands alone"),
    ],
)
def test_contradictions_are_usage_errors(arguments: tuple[str, ...], words: str) -> None:
    result = run("calibrate", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--again",), "no calibration is in use"),
        (("--use", "nothing"), "no calibration 'nothing' is kept"),
        (("none.json",), "does not exist"),
        ((str(SAMPLES / "llama_bench_2023.md"),), "add --device"),
        ((str(BENCH), "--device", "Nobody's card"), "none of the 2 measurements can be placed"),
        ((str(BENCH), "--alone"), "too few to fit"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_keeps_nothing(
    arguments: tuple[str, ...], words: str, data_folder: Path
) -> None:
    result = run("calibrate", *arguments)
    assert result.exit_code == 1
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not data_folder.exists()


def test_stopped_in_the_middle_keeps_nothing(
    tmp_path: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(done: float, _: str) -> None:
        if done > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        api.calibrate_own([slower(tmp_path, 1.5)], date="2026-01-02", progress=stop)
    assert not data_folder.exists()


def test_kept_load_tests_correct_their_deployment_without_a_calibration(data_folder: Path) -> None:
    ask = ("fit", "Qwen/Qwen3-32B", "--engine", "vllm", "--on", "2x H100 SXM", "--format", "json")

    def times() -> Any:
        speeds = json.loads(run(*ask).stdout)["speeds"]
        return next(speed for speed in speeds if speed["n_requests"] == 8)

    before = times()
    unsaid = replace(LOAD, question=replace(LOAD.question, device=""))
    save_load(unsaid, data_folder / "loads")  # nobody said what served it: it teaches nothing
    assert times() == before
    # Both levels took twice the time per token that is expected here: later ones are moved that way.
    expected_s = before["tpot_s"]["expected"]
    slow = replace(LOAD, levels=(level(4, 2 * expected_s), level(8, 2 * expected_s)))
    save_load(slow, data_folder / "loads")
    after = times()
    assert after["n_own_loads"] == 2
    assert after["tpot_s"]["expected"] > 1.2 * expected_s
