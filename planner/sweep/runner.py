"""Who answers the cells of a sweep: this process, its cores, or a cluster. The answers are the same."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from planner.errors import PlannerError
from planner.progress import Progress
from planner.sweep.cell import Answer, Answered, Cell
from planner.sweep.journal import Journal


class Runner(Protocol):
    """Answers cells in any order; a cell that fails is answered with its error, and the others still come."""

    def run(self, answer: Answer, cells: Sequence[Cell]) -> Iterator[Answered]:
        """Each cell once."""
        ...


class OneProcess:
    """One cell after the other, here."""

    def run(self, answer: Answer, cells: Sequence[Cell]) -> Iterator[Answered]:
        """In the order of the cells."""
        for cell in cells:
            yield answered(answer, cell)


def answered(answer: Answer, cell: Cell) -> Answered:
    """A cell's answer, or the line of an error that a person can mend; a bug is raised."""
    try:
        return Answered(cell=cell, answer=answer(cell.question))
    except PlannerError as error:
        return Answered(cell=cell, answer=None, error=str(error))


def sweep(
    runner: Runner,
    answer: Answer,
    cells: Iterable[Cell],
    journal: Journal | None = None,
    progress: Progress | None = None,
) -> tuple[Answered, ...]:
    """All cells answered, in their own order: from the journal where it has them, the rest by the runner."""
    asked = tuple({cell.key: cell for cell in cells}.values())
    known = {} if journal is None else journal.answers
    done = {cell.key: Answered(cell=cell, answer=known[cell.key]) for cell in asked if cell.key in known}
    left = [cell for cell in asked if cell.key not in done]
    if progress is not None and asked:
        progress(len(done) / len(asked), f"{len(done)} of {len(asked)} known")
    for one in runner.run(answer, left):
        done[one.cell.key] = one
        if journal is not None:
            journal.add(one)
        if progress is not None:
            progress(len(done) / len(asked), f"{len(done)} of {len(asked)}")
    return tuple(done[cell.key] for cell in asked)
