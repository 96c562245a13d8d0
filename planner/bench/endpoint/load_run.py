"""Sends requests: in a closed loop, with a fixed number under way, or in an open one, at their own times.

An open loop sends when a request is due, however many are still unanswered: users do not wait for each other. Both
end at a deadline: what is under way then may still finish for a while and is cut off after it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence

from planner.load.raw_load import RawLoad
from planner.load.request_record import RequestPlan, RequestRecord

Send = Callable[[RequestPlan, float], Awaitable[RequestRecord]]  # the plan, and when it was due
_MOST_UNDER_WAY = 4096  # of an open loop against a server that hangs
_TICK_S = 0.2


class Stop:
    """Tells a running load to begin no more: Ctrl-C keeps what was measured."""

    def __init__(self) -> None:
        self.is_asked = False

    def ask(self) -> None:
        """Begin no more."""
        self.is_asked = True


async def run_closed(
    send: Send,
    plans: Iterator[RequestPlan],
    concurrency: int,
    *,
    clock: Callable[[], float],
    duration_s: float,
    at_most: int | None,
    grace_s: float,
    stop: Stop,
    ramp_s: float = 0.0,
    tick: Callable[[float, int], None] | None = None,
) -> RawLoad:
    """`concurrency` requests under way all the time, for a duration or until `at_most` have been begun.

    The places begin one after the other within `ramp_s`: requests of one length that start together also end
    together, and go on to.
    """
    started_s = clock()
    records: list[RequestRecord] = []
    n_begun = n_waiting = 0
    steady_from_s: float | None = None
    stopped_s: float | None = None

    def is_over() -> bool:
        nonlocal stopped_s
        over = (
            stop.is_asked or clock() - started_s >= duration_s or (at_most is not None and n_begun >= at_most)
        )
        if over and stopped_s is None:
            stopped_s = clock()
        return over

    async def place(index: int) -> None:
        nonlocal n_begun, n_waiting, steady_from_s
        due_s = started_s + ramp_s * index / concurrency
        while not is_over() and (wait_s := due_s - clock()) > 0:
            await asyncio.sleep(min(wait_s, _TICK_S))
        is_first = True
        while not is_over():
            n_begun += 1
            records.append(await send(next(plans), clock()))
            if is_first:
                is_first = False
                n_waiting -= 1
                if n_waiting == 0:
                    steady_from_s = records[-1].end_s

    n_waiting = concurrency
    places = [asyncio.create_task(place(index)) for index in range(concurrency)]
    n_cut_off = await _until_done(
        places, lambda: is_over() and clock() - (stopped_s or 0.0) > grace_s,
        lambda: tick and tick(min(1.0, (clock() - started_s) / duration_s), len(records)),
    )  # fmt: skip
    return RawLoad(
        records=tuple(records),
        started_s=started_s,
        stopped_s=clock() if stopped_s is None else stopped_s,
        n_cut_off=n_cut_off,
        n_not_sent=0,
        steady_from_s=steady_from_s,
    )


async def run_open(
    send: Send,
    plans: Sequence[RequestPlan],
    *,
    clock: Callable[[], float],
    grace_s: float,
    stop: Stop,
    tick: Callable[[float, int], None] | None = None,
) -> RawLoad:
    """Each request at its own time after the start."""
    started_s = clock()
    records: list[RequestRecord] = []
    under_way: set[asyncio.Task[None]] = set()
    n_not_sent = 0
    last_s = max(plan.arrival_s or 0.0 for plan in plans)

    async def one(plan: RequestPlan, due_s: float) -> None:
        records.append(await send(plan, due_s))

    for plan in plans:
        due_s = started_s + (plan.arrival_s or 0.0)
        while not stop.is_asked and (wait_s := due_s - clock()) > 0:
            await asyncio.sleep(min(wait_s, _TICK_S))
            if tick is not None:
                tick(min(1.0, (clock() - started_s) / max(last_s, 1e-9)), len(records))
        if stop.is_asked:
            break
        if len(under_way) >= _MOST_UNDER_WAY:
            n_not_sent += 1
            continue
        task = asyncio.create_task(one(plan, due_s))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    stopped_s = clock()
    n_cut_off = await _until_done(
        list(under_way), lambda: clock() - stopped_s > grace_s, lambda: tick and tick(1.0, len(records))
    )
    return RawLoad(
        records=tuple(records),
        started_s=started_s,
        stopped_s=stopped_s,
        n_cut_off=n_cut_off,
        n_not_sent=n_not_sent,
    )


async def _until_done(
    tasks: Sequence["asyncio.Task[None]"], is_too_late: Callable[[], bool], tick: Callable[[], object]
) -> int:
    """Waits for tasks and returns how many had to be cut off; a task's own error is raised."""
    waiting = set(tasks)
    try:
        while waiting:
            done, waiting = await asyncio.wait(waiting, timeout=_TICK_S, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
            tick()
            if waiting and is_too_late():
                break
        return len(waiting)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
