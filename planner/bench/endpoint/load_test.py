"""A whole load test: the server found, levels of load one after the other, the knee, and the server's own account."""

import asyncio
import itertools
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from hardware.units import MILLI
from planner.bench.endpoint.load_run import Send, Stop, run_closed, run_open
from planner.bench.endpoint.prompt_text import prompt_of
from planner.bench.endpoint.server import Server, counters, find_server
from planner.bench.endpoint.server_metrics import account
from planner.bench.endpoint.stream import Limits, request_body, send
from planner.errors import BenchError
from planner.load.knee import LoadPoint, find_knee, is_saturated
from planner.load.load_summary import LoadLevel, summarize
from planner.load.load_test import LoadQuestion, LoadTest
from planner.load.plans import endless_plans, poisson_plans
from planner.load.raw_load import RawLoad
from planner.load.request_record import RequestPlan, RequestRecord
from planner.progress import Progress

_USUAL_LEVELS: Final = 8  # that a sweep by doubling takes: 1 to 128
_FEWEST_AT_ONE: Final = 3
_WORTH_WHILE: Final = 3  # a level lasts at least so many answers' time
_GRACE_S: Final = 10.0
_LIMITS: Final = Limits()
_NOTEWORTHY_CACHED: Final = 0.05
_MOST_ERRORS: Final = 0.1  # of a level's requests; above it a sweep rises no further


def run_load_test(
    question: LoadQuestion,
    *,
    api_key: str | None = None,
    limits: Limits = _LIMITS,
    progress: Progress | None = None,
) -> LoadTest:
    """Runs a test from the start to the end of its budget; Ctrl-C ends it with what was measured until then."""
    return asyncio.run(_run(question, api_key, limits, progress))


async def _run(
    question: LoadQuestion, api_key: str | None, limits: Limits, progress: Progress | None
) -> LoadTest:
    import httpx2

    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    unlimited = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    started = time.perf_counter()

    def clock() -> float:
        return time.perf_counter() - started

    stop = Stop()
    measured_at = datetime.now(UTC).isoformat(timespec="seconds")
    async with httpx2.AsyncClient(headers=headers, limits=unlimited, follow_redirects=False) as client:
        server = await find_server(
            client, question.base_url, question.model, question.call, clock=clock, limits=limits
        )
        before = await counters(client, question.base_url)
        cpu_before = time.process_time()
        send_one = sender(question, server, client, clock, limits)
        test = _Levels(question, send_one, clock, limits, stop, progress)
        with _ctrl_c(stop):
            await test.run()
        wall_s, cpu_s = clock(), time.process_time() - cpu_before
        after = await counters(client, question.base_url)
    if not any(level.n_good for level in test.levels):
        errors = [f"{text} ({n} times)" for level in test.levels for text, n in level.errors]
        raise BenchError(
            f"no request to {question.base_url} succeeded: {'; '.join(errors[:3]) or 'none was answered in time'}"
        )
    good = [record for record in test.records if record.is_good]
    return LoadTest(
        question=question,
        model=server.model,
        call=server.call,
        software=server.software,
        is_counted=server.scale.is_counted,
        decides_length=server.decides_length,
        measured_at=measured_at,
        levels=tuple(test.levels),
        knee=find_knee(test.points()),
        own_prompt_tokens=sum(record.n_prompt_tokens or 0 for record in good),
        own_output_tokens=sum(record.n_output_tokens or 0 for record in good),
        own_mean_ttft_s=sum(record.ttft_s for record in good) / len(good),
        account=account(before, after),
        wall_s=wall_s,
        client_cpu_s=cpu_s,
        is_stopped=stop.is_asked,
        notes=_notes(server, test.levels, wall_s, cpu_s, bool(before), stop),
    )


class _Levels:
    """Runs one level after the other."""

    def __init__(
        self,
        question: LoadQuestion,
        send_one: Send,
        clock: Callable[[], float],
        limits: Limits,
        stop: Stop,
        progress: Progress | None,
    ) -> None:
        self.levels: list[LoadLevel] = []
        self.records: list[RequestRecord] = []
        self._question = question
        self._clock = clock
        self._stop = stop
        self._progress = progress
        self._send = send_one
        self._limits = limits
        self._begun_s = clock()

    async def run(self) -> None:
        """All levels that were asked for, or a sweep by doubling."""
        question = self._question
        if question.trace:
            last_s = question.trace[-1].arrival_s or 0.0
            await self._open(question.trace, len(question.trace) / max(last_s, 1e-9), "trace", 0.0, 1.0)
        elif question.rates_per_s:
            each_s = question.budget_s / len(question.rates_per_s)
            for index, rate in enumerate(question.rates_per_s):
                plans = poisson_plans(
                    question.prompt, question.output, rate_per_s=rate, duration_s=each_s,
                    seed=question.seed + index,
                )  # fmt: skip
                share = 1 / len(question.rates_per_s)
                await self._open(plans, rate, f"{rate:g} requests/s", index * share, (index + 1) * share)
        elif question.concurrencies:
            each_s = question.budget_s / len(question.concurrencies)
            for concurrency in question.concurrencies:
                await self._closed(concurrency, each_s)
        else:
            await self._sweep()

    async def _sweep(self) -> None:
        """Doubles the concurrency until that brings no more, the budget is spent, or requests fail."""
        question = self._question
        each_s = question.budget_s / _USUAL_LEVELS
        for concurrency in itertools.takewhile(
            lambda n: n <= question.highest_concurrency, (2**power for power in itertools.count())
        ):
            spent_s = self._clock() - self._begun_s
            alone_s = self.levels[0].e2e.at[0] if self.levels and self.levels[0].e2e else 0.0
            last_s = self.levels[-1].e2e.at[0] if self.levels and self.levels[-1].e2e else 0.0
            wanted_s = max(each_s, _WORTH_WHILE * max(alone_s, last_s))
            if self.levels and spent_s + wanted_s > question.budget_s * 1.05:
                break
            await self._closed(concurrency, wanted_s)
            level = self.levels[-1]
            if level.n_failed > _MOST_ERRORS * (level.n_good + level.n_failed):
                break
            if is_saturated(self.points()):
                break

    def points(self) -> list[LoadPoint]:
        """What the closed levels say of the knee.

        Throughput by Little's law, concurrency over mean time: answers end in bunches, and a short window that holds
        one bunch more or less would be off by that much.
        """
        return [
            LoadPoint(
                concurrency=level.concurrency,
                requests_per_s=level.concurrency / level.e2e.mean,
                e2e_s=level.e2e.of(50),
            )
            for level in self.levels
            if level.concurrency is not None and level.e2e is not None
        ]

    async def _closed(self, concurrency: int, duration_s: float) -> None:
        left = self._left()
        if self._stop.is_asked or left == 0:
            return
        question = self._question
        plans = endless_plans(question.prompt, question.output, question.seed + concurrency)
        raw = await run_closed(
            self._send, plans, concurrency, clock=self._clock, duration_s=duration_s, at_most=left,
            grace_s=self._grace_s(), stop=self._stop, tick=self._tick(f"{concurrency} at once"),
        )  # fmt: skip
        self._keep(raw, summarize(raw, concurrency=concurrency))

    async def _open(
        self, plans: Sequence[RequestPlan], rate: float, text: str, start: float, end: float
    ) -> None:
        left = self._left()
        if self._stop.is_asked or left == 0:
            return
        progress = self._progress

        def tick(done: float, n: int) -> None:
            if progress is not None:
                progress(start + (end - start) * done, f"{text}, {n} answered")

        raw = await run_open(
            self._send, plans[:left], clock=self._clock, grace_s=self._grace_s(), stop=self._stop, tick=tick
        )
        self._keep(raw, summarize(raw, offered_per_s=rate))

    def _keep(self, raw: RawLoad, level: LoadLevel) -> None:
        self.records += raw.records
        if raw.records:
            self.levels.append(level)

    def _left(self) -> int | None:
        most = self._question.most_requests
        return None if most is None else max(0, most - len(self.records))

    def _grace_s(self) -> float:
        slowest = max((level.e2e.at[-1] for level in self.levels if level.e2e), default=0.0)
        return max(_GRACE_S, 3 * slowest) if self.levels else self._limits.whole_s

    def _tick(self, text: str) -> Callable[[float, int], None] | None:
        progress = self._progress
        if progress is None:
            return None

        def tick(_: float, n: int) -> None:
            spent = (self._clock() - self._begun_s) / self._question.budget_s
            progress(min(1.0, spent), f"{text}, {n} answered")

        return tick


def sender(
    question: LoadQuestion, server: Server, client: Any, clock: Callable[[], float], limits: Limits
) -> Send:
    """Sends planned requests to a server, each with a prompt of its own behind what all share.

    Lengths and times follow the seed; words do not: a server would know those of the last test by heart.
    """
    chance = random.SystemRandom()
    n_shared = question.n_shared_prefix_tokens
    shared = prompt_of(server.scale.n_words(n_shared), random.Random(question.seed)) if n_shared else ""  # noqa: S311
    n_shared_words = len(shared.split())

    async def send_one(plan: RequestPlan, due_s: float) -> RequestRecord:
        n_words = max(1, server.scale.n_words(plan.n_prompt_tokens) - n_shared_words)
        prompt = f"{shared} {prompt_of(n_words, chance)}".strip()
        body = request_body(server.call, server.model, prompt, plan.n_output_tokens, server.extra)
        return await send(client, server.url, body, planned_s=due_s, clock=clock, limits=limits)

    return send_one


@contextmanager
def _ctrl_c(stop: Stop) -> Iterator[None]:
    """Ctrl-C asks the load to end; a second one ends the program at once."""
    loop = asyncio.get_running_loop()

    def once() -> None:
        stop.ask()
        loop.remove_signal_handler(signal.SIGINT)

    try:
        loop.add_signal_handler(signal.SIGINT, once)
    except (RuntimeError, ValueError, NotImplementedError):  # not the main thread: its owner has the keyboard
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


def _notes(
    server: Server,
    levels: Sequence[LoadLevel],
    wall_s: float,
    cpu_s: float,
    has_counters: bool,
    stop: Stop,
) -> tuple[str, ...]:
    found = [note for level in levels for note in level.notes]
    if not server.scale.is_counted:
        found.append(
            "the server does not count tokens: prompt lengths are words, output lengths pieces of text"
        )
    if not server.decides_length:
        found.append("the server ends answers where the model does: they may be shorter than asked")
    if not has_counters:
        found.append("the server shows no counters of its own at /metrics")
    found += [
        f"{level.cached_fraction:.0%} of the prompts' tokens came from the server's own cache"
        for level in levels
        if (level.cached_fraction or 0.0) > _NOTEWORTHY_CACHED
    ][:1]
    if cpu_s > 0.7 * wall_s:
        found.append(
            f"this program used {cpu_s / wall_s:.0%} of a core: it may have been the limit; use fewer requests at once"
        )
    late_s = max((level.latest_send_s for level in levels), default=0.0)
    if late_s > 0.05:
        found.append(f"requests were sent up to {late_s / MILLI:.0f} ms late: this machine was busy")
    if stop.is_asked:
        found.append("stopped early: what follows was measured until then")
    return tuple(found)
