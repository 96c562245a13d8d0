"""Pipeline files: read in full, or refused in one line that names the stage and the key."""

from pathlib import Path

import pytest

from planner.errors import PlannerError
from planner.readers.pipeline_file import PipelineAsk, read_pipeline

GOOD = """
name = "triage"
tasks_per_month = 200000

[[stage]]
name = "router"
api = "google/gemini-2.5-flash-lite"
prompt_tokens = "1200"
output_tokens = 10
passes = { worker = 0.8 }

[[stage]]
name = "worker"
model = "qwen3-8b"
on = ["RTX 4090, 64GiB DDR5-5600"]
deals = ["buy"]
tasks_per_s = "2(1.5-2.4)"
slo = "ttft p95<1s, tpot p95<50ms"
prompt_tokens = "500-2000"
output_tokens = "lognormal:300:0.5"
"""


def read(folder: Path, text: str) -> PipelineAsk:
    path = folder / "pipeline.toml"
    path.write_text(text, encoding="utf-8")
    return read_pipeline(path)


def test_every_key(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD)
    router, worker = found.stages
    assert (found.name, found.tasks_per_month, found.growth_per_year) == ("triage", 200_000, 0)
    assert (router.apis, router.passes, router.prompt.mean) == (
        ("google/gemini-2.5-flash-lite",),
        {"worker": 0.8},
        1_200,
    )
    assert (worker.machines, worker.deals, worker.tasks_per_s) == (
        ("RTX 4090, 64GiB DDR5-5600",),
        ("buy",),
        "2(1.5-2.4)",
    )
    assert worker.thinking.mean == 0
    assert [str(one) for one in worker.objectives] == ["ttft p95<1s", "tpot p95<50ms"]
    assert router.objectives == ()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("tasks_per_month = 200000", "", "tasks_per_month is 'None'"),
        ("tasks_per_month = 200000", "tasks_per_month = -1", "expected a number"),
        ("tasks_per_month = 200000", "tasks_per_month = nan", "expected a number"),
        ("tasks_per_month = 200000", "task_per_month = 1", "did you mean tasks_per_month"),
        ('api = "google/gemini-2.5-flash-lite"', "", "stage 1: nothing runs it"),
        ('prompt_tokens = "1200"', 'prompt_tokens = "many"', "prompt_tokens"),
        ('prompt_tokens = "1200"', "", "stage 1: prompt_tokens"),
        ("{ worker = 0.8 }", "{ worker = 800 }", "from 0 to 100"),
        ("{ worker = 0.8 }", "3", "passes is no table"),
        ('name = "router"', "name = 4", "expected text"),
        ('model = "qwen3-8b"\n', "", ""),
        ('slo = "ttft p95<1s, ', 'slo = "ttft soon, ', "stage 2: slo"),
        ("[[stage]]", "[[stag]]", "no key 'stag'"),
        ('name = "triage"', "name = [", "not readable as TOML"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in GOOD
    if not says:  # a stated speed needs no model
        assert read(tmp_path, GOOD.replace(old, new)).stages[1].model is None
        return
    with pytest.raises(PlannerError) as refused:
        read(tmp_path, GOOD.replace(old, new))
    assert says in str(refused.value)
    assert "pipeline.toml" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_no_stage_and_too_many(tmp_path: Path) -> None:
    for text in ("tasks_per_month = 1", "tasks_per_month = 1\n" + "[[stage]]\nname = 'a'\n" * 21):
        with pytest.raises(PlannerError, match="expected 1 to 20 tables"):
            read(tmp_path, text)
