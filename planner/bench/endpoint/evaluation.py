"""Asks a server all tasks of an evaluation, a few at a time, and again where a task may be tried again."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from planner.bench.endpoint.ask import ask
from planner.bench.endpoint.server import model_of
from planner.errors import BenchError
from planner.evaluate.asking import Asking
from planner.evaluate.task import Reply, Task, TaskResult, judged
from planner.progress import Progress

_MOST_FAILURES: Final = 5  # in a row and none answered: the server is not there


def run_evaluation(
    base_url: str, tasks: Sequence[Task], asking: Asking, progress: Progress | None = None
) -> tuple[str, tuple[TaskResult, ...]]:
    """The model's name and a result for each task, in their order; raises BenchError where the server never answers."""

    async def run() -> tuple[str, tuple[TaskResult, ...]]:
        import httpx2

        headers = {} if asking.api_key is None else {"Authorization": f"Bearer {asking.api_key}"}
        limits = httpx2.Limits(max_connections=asking.concurrency)
        async with httpx2.AsyncClient(headers=headers, limits=limits) as client:
            name, _ = await model_of(client, base_url, asking.model)
            places = asyncio.Semaphore(asking.concurrency)
            done: list[TaskResult] = []

            async def one(task: Task) -> TaskResult:
                async with places:
                    _give_up_where_nobody_answers(done)
                    result = await _tried(client, base_url, name, task, asking)
                done.append(result)
                if progress is not None:
                    n_solved = sum(one.is_solved for one in done)
                    progress(len(done) / len(tasks), f"{n_solved} of {len(done)} solved")
                return result

            async with asyncio.TaskGroup() as group:
                running = [group.create_task(one(task)) for task in tasks]
            return name, tuple(task.result() for task in running)

    try:
        return asyncio.run(run())
    except ExceptionGroup as group:
        stopped, others = group.split(BenchError)
        if stopped is None or others is not None:
            raise
        raise BenchError(str(stopped.exceptions[0])) from group


async def _tried(client: Any, base_url: str, model: str, task: Task, asking: Asking) -> TaskResult:
    replies: list[Reply] = []
    while True:
        replies.append(
            await ask(
                client, base_url, model, task.messages, max_tokens=task.max_tokens or asking.max_tokens,
                temperature=asking.temperature, timeout_s=asking.timeout_s,
            )
        )  # fmt: skip
        result = judged(task, tuple(replies))
        if result.is_solved or len(replies) >= asking.n_attempts:
            return result


def _give_up_where_nobody_answers(done: Sequence[TaskResult]) -> None:
    if len(done) >= _MOST_FAILURES and all(result.error is not None for result in done):
        raise BenchError(
            f"the server answered none of the first {len(done)} tasks; it said last: {done[-1].error}"
        )
