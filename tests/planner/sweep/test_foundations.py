"""What answers stand on: any file that changes shows, and a copy holds the same."""

from pathlib import Path

import pytest

from planner.errors import PlannerError
from planner.sweep import foundations as module
from planner.sweep.foundations import Foundations


@pytest.fixture
def standing(tmp_path: Path) -> Foundations:
    for name in ("package/__pycache__", "own/deep"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "package/a.py").write_text("1")
    (tmp_path / "own/deep/row.csv").write_text("id\n")
    return Foundations(
        packages=[tmp_path / "package"], own={"OWN": tmp_path / "own", "ABSENT": tmp_path / "no"}
    )


@pytest.mark.parametrize(
    "name", ["package/a.py", "package/b.py", "own/deep/row.csv", "own/row.csv", "no/new.csv"]
)
def test_every_file_counts(name: str, standing: Foundations, tmp_path: Path) -> None:
    before = standing.digest()
    assert standing.digest() == before
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("other")
    assert standing.digest() != before


def test_what_python_compiles_does_not_count(standing: Foundations, tmp_path: Path) -> None:
    before = standing.digest()
    (tmp_path / "package/__pycache__/a.pyc").write_bytes(b"x")
    assert standing.digest() == before


def test_content_that_moves_between_files_is_seen(standing: Foundations, tmp_path: Path) -> None:
    (tmp_path / "package/b.py").write_text("23")
    before = standing.digest()
    (tmp_path / "package/a.py").write_text("12")
    (tmp_path / "package/b.py").write_text("3")
    assert standing.digest() != before


def test_a_copy_stands_on_the_same(standing: Foundations, tmp_path: Path) -> None:
    variables = standing.copied_into(tmp_path / "copy")
    copy = Foundations(
        packages=standing.packages, own={name: tmp_path / "copy" / path for name, path in variables.items()}
    )
    assert copy.digest() == standing.digest()


def test_a_folder_that_holds_anything_is_not_taken_along(
    standing: Foundations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_BYTES", 2)
    with pytest.raises(PlannerError, match="move what else is there"):
        standing.digest()
