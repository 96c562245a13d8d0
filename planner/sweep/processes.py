"""All cores of this machine. A worker that dies takes no answer with it: its cells are asked again, one by one."""

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Final

from planner.sweep.cell import Answer, Answered, Cell
from planner.sweep.runner import answered

_WAITING_EACH: Final = 2  # cells handed to a worker ahead of time


class Processes:
    """So many workers on this machine."""

    def __init__(self, n_workers: int) -> None:
        self._n = n_workers

    def run(self, answer: Answer, cells: Sequence[Cell]) -> Iterator[Answered]:
        """In the order in which they are done."""
        left = list(cells)
        while left:
            suspects: list[Cell] = []
            yield from self._run_together(answer, left, suspects)
            for cell in suspects:
                yield self._run_alone(answer, cell)

    def _run_together(self, answer: Answer, left: list[Cell], suspects: list[Cell]) -> Iterator[Answered]:
        """Until all are done, or a worker dies: then what was handed out and not answered is suspected."""
        under_way: dict[Future[Answered], Cell] = {}
        others = set(multiprocessing.active_children())
        pool = self._pool(self._n)
        try:
            while left or under_way:
                while left and len(under_way) < _WAITING_EACH * self._n:
                    cell = left.pop(0)
                    under_way[pool.submit(answered, answer, cell)] = cell
                for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                    result = future.result()
                    del under_way[future]
                    yield result
        except BrokenProcessPool:
            suspects += under_way.values()
        except BaseException:
            # Nobody waits for answers any more: cells under way are not finished.
            for worker in set(multiprocessing.active_children()) - others:
                worker.terminate()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _run_alone(self, answer: Answer, cell: Cell) -> Answered:
        with self._pool(1) as pool:
            try:
                return pool.submit(answered, answer, cell).result()
            except BrokenProcessPool:
                return Answered(
                    cell=cell, answer=None, error="its process died, twice: out of memory, or killed"
                )

    def _pool(self, n: int) -> ProcessPoolExecutor:
        # A fresh interpreter: forks of a process with threads may hang.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(max_workers=n, mp_context=context, initializer=_leave_ctrl_c)


def _leave_ctrl_c() -> None:
    """Ctrl-C reaches all processes of a terminal; the first one ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
