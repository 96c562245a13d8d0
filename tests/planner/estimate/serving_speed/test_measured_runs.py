"""Settings of measured runs: which of them hold for a run."""

from datetime import date

import pytest

from planner.estimate.serving_speed.measured_runs import (
    MeasuredRun,
    of_versions,
    run_settings,
    run_settings_from_rows,
)
from profiles.errors import ProfileError
from profiles.loader import calibration_rows

LINE: dict[str, str | None] = dict.fromkeys(
    (
        "id", "setting", "value", "system", "model", "precision", "engine", "n_prompt", "n_output", "n_gpus",
        "n_expert_ranks", "is_replicated", "least_requests", "most_requests", "image", "version", "since", "until",
    )
) | {"id": "x", "setting": "draft_tokens", "value": "3", "model": "DeepSeek"}  # fmt: skip
RUN = MeasuredRun(
    system="b200_sxm", model="deepseek-ai/DeepSeek-R1", precision="fp4", engine="trtllm", n_prompt=1024, n_output=1024,
    n_gpus=8, n_expert_ranks=1, is_replicated=False, n_requests=64, image="release:1.2.0rc6.post3",
    version="1.2.0rc6.post3", day=date(2026, 2, 6),
)  # fmt: skip


def found(*changes: dict[str, str]) -> dict[str, float]:
    return run_settings(run_settings_from_rows(LINE | one for one in changes), RUN)


def test_a_line_holds_for_the_runs_that_it_describes() -> None:
    assert found({}) == {"draft_tokens": 3}
    assert found({"system": "h200_sxm"}) == {}
    assert found({"model": "Qwen"}) == {}
    assert found({"least_requests": "65"}) == {}
    assert found({"n_gpus": "4"}) == {}
    assert found({"is_replicated": "yes"}) == {}
    assert found({"image": "release:1.2.0rc6.post2"}) == {}


def test_the_last_change_before_the_day_holds() -> None:
    assert found({"since": "2025-11-03", "value": "0"}, {"since": "2026-02-06"}) == {"draft_tokens": 3}
    assert found({"since": "2025-11-03", "value": "0"}, {"since": "2026-03-01"}) == {"draft_tokens": 0}
    assert found({"until": "2026-02-05"}) == {}


def test_changes_of_one_day_that_contradict_each_other_are_unknown() -> None:
    assert found({"since": "2026-02-06"}, {"since": "2026-02-06", "value": "0"}) == {}
    # … unless one of them describes the run more narrowly.
    narrow = {"since": "2026-02-06", "value": "1", "n_gpus": "8"}
    assert found({"since": "2026-02-06"}, narrow) == {"draft_tokens": 1}


def test_without_a_day_only_undated_lines_hold() -> None:
    lines = run_settings_from_rows(
        [LINE | {"since": "2025-01-01"}, LINE | {"setting": "held_steps", "value": "20"}]
    )
    undated = MeasuredRun(**{name: getattr(RUN, name) for name in MeasuredRun.__slots__} | {"day": None})
    assert run_settings(lines, undated) == {"held_steps": 20}


def test_every_packaged_line_is_read_and_names_its_source() -> None:
    rows = calibration_rows("serving_runs")
    assert len(run_settings_from_rows(rows)) == len(rows)
    for row in rows:
        whose = "vllm-project/vllm" if row["version"] else "SemiAnalysisAI/InferenceX"
        assert (row["source"] or "").startswith(whose)


def test_what_a_version_does_holds_for_the_runs_of_everybody() -> None:
    lines = run_settings_from_rows(
        [LINE, LINE | {"setting": "pads_experts", "value": "1", "version": RUN.version or ""}]
    )
    assert run_settings(of_versions(lines), RUN) == {"pads_experts": 1}
    other = MeasuredRun(**{name: getattr(RUN, name) for name in MeasuredRun.__slots__} | {"version": None})
    assert run_settings(of_versions(lines), other) == {}


@pytest.mark.parametrize(
    "broken", [{"setting": "colour"}, {"value": ""}, {"since": "May"}, {"n_gpus": "eight"}]
)
def test_a_broken_line_is_named(broken: dict[str, str]) -> None:
    with pytest.raises(ProfileError, match=r"serving_runs\.csv, row 'x'"):
        run_settings_from_rows([LINE | broken])
