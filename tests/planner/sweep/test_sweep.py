"""Sweeps: the same answers whoever works them out, none lost to a death, and those on disk not asked again."""

import json
import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from planner.errors import PlannerError
from planner.sweep.cell import Answer, Answered, Cell
from planner.sweep.journal import Journal
from planner.sweep.processes import Processes
from planner.sweep.runner import OneProcess, sweep
from tests.planner.sweep.questions import broken, deadly, deadly_once, root_of

ABOUT = {"planner": "1"}


def cells(n: int = 10, **more: str) -> list[Cell]:
    return [Cell(question={"n": i, **more}) for i in range(n)]


class Counting(OneProcess):
    """Says which cells it was given."""

    def __init__(self) -> None:
        self.asked: list[Cell] = []

    def run(self, answer: Answer, cells: Sequence[Cell]) -> Iterator[Answered]:
        self.asked += cells
        return super().run(answer, cells)


def test_processes_answer_as_one_process_does() -> None:
    asked = [*cells(), Cell(question={"n": -1})]
    alone = sweep(OneProcess(), root_of, asked)
    together = sweep(Processes(2), root_of, asked)
    assert together == alone
    assert [one.answer for one in alone[:3]] == [{"root": 0.0}, {"root": 1.0}, {"root": 2**0.5}]
    # One that fails does not stop the others, and says why.
    assert (alone[-1].answer, alone[-1].error) == (None, "-1 has no root")


def test_a_killed_worker_loses_no_answer(tmp_path: Path) -> None:
    asked = cells(12, mark=str(tmp_path))
    found = sweep(Processes(2), deadly_once, asked)
    assert (tmp_path / "3").exists(), "a worker was killed"
    assert found == sweep(OneProcess(), root_of, asked)


def test_a_cell_that_kills_its_worker_each_time_is_named_and_the_others_are_answered() -> None:
    found = sweep(Processes(2), deadly, cells(6))
    (lost,) = [one for one in found if one.answer is None]
    assert lost.cell.question["n"] == 3 and "died, twice" in (lost.error or "")


@pytest.mark.parametrize("runner", [OneProcess(), Processes(1)], ids=["one", "processes"])
def test_a_bug_keeps_its_traceback(runner: OneProcess | Processes) -> None:
    with pytest.raises(ZeroDivisionError):
        sweep(runner, broken, cells(2))


def test_a_stopped_sweep_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "journal"
    with Journal(path, ABOUT) as journal:
        sweep(OneProcess(), root_of, cells(4), journal)
    runner = Counting()
    with Journal(path, ABOUT) as journal:
        found = sweep(runner, root_of, cells(6), journal)
    assert [cell.question["n"] for cell in runner.asked] == [4, 5]
    assert found == sweep(OneProcess(), root_of, cells(6))


def test_a_journal_cut_at_any_byte_keeps_what_was_whole(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path, ABOUT) as journal:
        sweep(OneProcess(), root_of, cells(5), journal)
    whole = path.read_bytes()
    starts = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]  # where the lines end
    for cut in random.Random(0).sample(range(len(whole) + 1), 60):
        path.write_bytes(whole[:cut])
        with Journal(path, ABOUT) as journal:
            kept = len(journal.answers)
            assert kept == max(0, sum(end <= cut for end in starts) - 1)
            sweep(OneProcess(), root_of, cells(5), journal)
        with Journal(path, ABOUT) as journal:
            assert len(journal.answers) == 5


def test_a_journal_of_another_version_or_no_journal_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path, ABOUT):
        pass
    with pytest.raises(PlannerError, match="another version"), Journal(path, {"planner": "2"}):
        pass
    for text in ("my notes\n", json.dumps({"kind": "planner-sweep-journal/1"}) + "\n"):
        path.write_text(text)
        with pytest.raises(PlannerError, match="no journal of a sweep"), Journal(path, ABOUT):
            pass
        assert path.read_text() == text


def test_two_sweeps_do_not_write_to_one_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with (
        Journal(path, ABOUT),
        pytest.raises(PlannerError, match="another sweep writes"),
        Journal(path, ABOUT),
    ):
        pass


def test_like_questions_are_asked_once() -> None:
    runner = Counting()
    twice = [Cell(question={"a": 1, "n": 4}), Cell(question={"n": 4, "a": 1})]
    assert len(sweep(runner, root_of, twice)) == 1 and len(runner.asked) == 1


def test_progress_ends_at_one() -> None:
    steps: list[float] = []
    sweep(OneProcess(), root_of, cells(3), progress=lambda done, _: steps.append(done))
    assert steps == sorted(steps) and steps[-1] == 1.0


def test_workers_end_with_the_sweep() -> None:
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    if not children.exists():
        pytest.skip("this system does not list children in /proc")
    before = set(children.read_text().split())
    sweep(Processes(2), root_of, cells(4))
    left = set(children.read_text().split()) - before
    names = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in left if Path(f"/proc/{pid}").exists()]
    assert not [name for name in names if b"spawn_main" in name]
