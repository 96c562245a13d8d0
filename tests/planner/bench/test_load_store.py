"""Load tests on disk: what is written comes back, and a damaged file is named and skipped."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from planner.bench.load_store import save_load, stored_loads
from planner.load.knee import Knee
from planner.load.load_summary import LoadLevel, MeasuredRequests, Percentiles
from planner.load.load_test import LoadQuestion, LoadTest
from planner.load.request_record import RequestPlan
from planner.load.server_account import ServerAccount
from planner.workload.lengths import parse_lengths


def times(seconds: float) -> Percentiles:
    return Percentiles(mean=seconds, at=(seconds,) * 4, n=20)


def level(concurrency: int, tpot_s: float = 0.02) -> LoadLevel:
    return LoadLevel(
        concurrency=concurrency, offered_per_s=None, n_good=200, n_failed=1, errors=(("HTTP 500", 1),), window_s=10.0,
        requests_per_s=2.0, output_tokens_per_s=256.0, prompt_tokens_per_s=1024.0, mean_under_way=float(concurrency),
        ttft=times(0.2), tpot=times(tpot_s), itl=None, e2e=times(0.2 + 127 * tpot_s), mean_prompt_tokens=1024.0,
        mean_output_tokens=128.0, cached_fraction=None, latest_send_s=0.0, rates_per_s=(1.9, 2.1),
        requests=MeasuredRequests(
            sent_s=(0.5,), ttft_s=(0.2,), e2e_s=(2.74,), n_prompt_tokens=(1024,), n_output_tokens=(128,)
        ),
    )  # fmt: skip


TEST = LoadTest(
    question=LoadQuestion(
        base_url="http://localhost:8000", prompt=parse_lengths("512-1536"), output=parse_lengths("128"), call="chat",
        device="2x H100 SXM",
    ),
    model="Qwen/Qwen3-32B", call="chat", software="uvicorn", is_counted=True, decides_length=True,
    measured_at="2026-01-02T03:04:05+00:00", levels=(level(1), level(8)),
    knee=Knee(requests_per_s=2.0, concurrency=5.5, is_reached=True), own_prompt_tokens=40_960, own_output_tokens=5_120,
    own_mean_ttft_s=0.2,
    account=ServerAccount(n_prompt_tokens=40_960.0, n_output_tokens=5_120.0, mean_ttft_s=None, mean_e2e_s=None),
    wall_s=60.0, client_cpu_s=1.0, is_stopped=False, notes=("a note",), engine="vllm", engine_build="0.32.0",
)  # fmt: skip


def test_a_load_test_comes_back_as_it_was(tmp_path: Path) -> None:
    path = save_load(TEST, tmp_path / "new")
    (found,), warnings = stored_loads(path.parent)
    assert (found.run, warnings) == (TEST, ())
    assert path.name.startswith("20260102T030405-Qwen-Qwen3-32B-")


def test_a_trace_stays_where_it_was(tmp_path: Path) -> None:
    plans = tuple(RequestPlan(n_prompt_tokens=1, n_output_tokens=1, arrival_s=0.0) for _ in range(3))
    traced = replace(TEST, question=replace(TEST.question, trace=plans), n_trace_requests=3)
    save_load(traced, tmp_path)
    (found,), _ = stored_loads(tmp_path)
    assert found.run == replace(TEST, n_trace_requests=3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": 5}, "LoadTest.model is 5, not of type str"),
        ({"levels": [{}]}, "LoadLevel lacks or adds"),
        ({"question": None}, "LoadQuestion is not an object"),
    ],
)
def test_a_damaged_file_is_skipped_with_one_line(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = save_load(TEST, tmp_path)
    content = json.loads(path.read_text())
    content["test"] |= change
    (tmp_path / "0-bad.json").write_text(json.dumps(content))
    found, (warning,) = stored_loads(tmp_path)
    assert len(found) == 1
    assert said in warning and "is not a load test" in warning


@pytest.mark.parametrize("pair", [["HTTP 500"], ["HTTP 500", "one"], ["HTTP 500", 1, 2]])
def test_pairs_have_two_parts_of_their_own_kinds(tmp_path: Path, pair: list[Any]) -> None:
    path = save_load(TEST, tmp_path)
    content = json.loads(path.read_text())
    content["test"]["levels"][0]["errors"] = [pair]
    path.write_text(json.dumps(content))
    found, (warning,) = stored_loads(tmp_path)
    assert not found
    assert "LoadLevel.errors" in warning
