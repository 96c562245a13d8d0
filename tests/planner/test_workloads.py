"""Workloads by name: every preset is whole, and every figure says where it comes from."""

from pathlib import Path

import pytest

from planner import api
from planner.errors import NotFoundError
from planner.readers.workload_writer import workload_fields, workload_toml
from planner.workload.lengths import parse_lengths
from planner.workload.overrides import Overrides

NAMES = ("batch-extraction", "chat", "coding-agent", "rag", "reasoning", "voice")


def test_the_presets_are_there() -> None:
    assert tuple(workload.name for workload in api.list_workloads()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_of_a_preset_says_where_it_comes_from(name: str) -> None:
    workload = api.workload_for(name)
    fields = workload_fields(workload)
    figures = set(fields) - {"schema", "name", "description", "source", "sources", "agent", "traffic"}
    figures |= {f"{table}.{key}" for table in ("agent", "traffic") for key in fields.get(table, {})}
    # An even week is not written, but its source is.
    assert {source.key for source in workload.sources} - {"traffic.week_profile"} == figures - {
        "traffic.week_profile"
    }
    for source in workload.sources:
        assert source.basis in ("measured", "published", "assumed")
        if source.basis != "assumed":
            assert source.url is not None and source.url.startswith("https://")
            assert source.date is not None and source.date.startswith("202")


def test_a_name_is_changed_by_what_was_given() -> None:
    workload = api.workload_for("Chat", Overrides(tasks_per_s=6, output=parse_lengths("100")))
    assert (workload.traffic.tasks_per_s, workload.output.mean) == (6, 100)


def test_a_file_is_read_and_an_unknown_name_is_told_its_neighbour(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(workload_toml(api.workload_for("rag")), encoding="utf-8")
    assert api.workload_for(str(path)) == api.workload_for("rag")
    with pytest.raises(
        NotFoundError, match=r"'chta' is neither a workload's name nor a file; did you mean chat\?"
    ):
        api.workload_for("chta")
    with pytest.raises(NotFoundError, match=r"gone\.toml' does not exist"):
        api.workload_for("gone.toml")


def test_a_preset_of_ones_own_replaces_the_packaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANNER_PROFILES_DIR", str(tmp_path))
    (tmp_path / "workloads").mkdir()
    text = workload_toml(api.workload_for("chat", Overrides(samples=3)))
    (tmp_path / "workloads" / "chat.toml").write_text(text, encoding="utf-8")
    assert api.workload_for("chat").samples == 3
    assert api.workload_names() == NAMES
