"""Levels of load one after the other, and in turn again while there is time: a slow phase of a machine must not meet one only."""

from collections.abc import Callable, Iterator, Sequence
from statistics import mean, stdev
from typing import Final

from planner.bench.endpoint.load_run import Send, Stop, run_closed, run_open
from planner.bench.endpoint.stream import Limits
from planner.load.knee import LoadPoint, is_saturated
from planner.load.load_summary import LoadLevel, summarize
from planner.load.load_test import LoadQuestion
from planner.load.plans import endless_plans, poisson_plans
from planner.load.raw_load import RawLoad
from planner.load.request_record import RequestPlan, RequestRecord
from planner.progress import Progress

_USUAL_LEVELS: Final = 6  # of a sweep by doubling
_FIRST_SHARE: Final = 0.5  # of the budget, for every level once
_WORTH_WHILE: Final = 4  # a stretch lasts at least so many answers' time: one to begin with, one to end
_FEWEST_TURNS: Final = 3
_NARROW: Final = 0.03  # half of the 95 % interval of a level's mean rate that is narrow enough
_STUDENT_T: Final = (
    12.71,
    4.30,
    3.18,
    2.78,
    2.57,
    2.45,
    2.36,
    2.31,
    2.26,
)  # 95 %, by degrees of freedom from 1
_RAMP: Final = 1.5  # times an answer of half the concurrency
_GRACE_S: Final = 10.0
_MOST_ERRORS: Final = 0.1  # of a level's requests; above it a sweep rises no further


class LoadLevels:
    """Runs the levels that are asked for, or a sweep."""

    def __init__(
        self,
        question: LoadQuestion,
        send_one: Send,
        clock: Callable[[], float],
        limits: Limits,
        stop: Stop,
        progress: Progress | None,
    ) -> None:
        self.records: list[RequestRecord] = []
        self._open_levels: list[LoadLevel] = []
        self._stretches: dict[int, list[RawLoad]] = {}  # by concurrency
        self._summed_up: dict[int, tuple[int, LoadLevel]] = {}  # and of how many stretches
        self._plans: dict[int, Iterator[RequestPlan]] = {}
        self._question = question
        self._clock = clock
        self._stop = stop
        self._progress = progress
        self._send = send_one
        self._limits = limits
        self._begun_s = clock()

    @property
    def levels(self) -> list[LoadLevel]:
        """What is known of each level."""
        return [
            *self._open_levels,
            *(self._level(concurrency) for concurrency in sorted(self._stretches)),
        ]

    async def run(self) -> None:
        """All levels."""
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
        elif len(question.concurrencies) == 1:
            await self._closed(question.concurrencies[0], question.budget_s)
        elif question.concurrencies:
            each_s = _FIRST_SHARE * question.budget_s / len(question.concurrencies)
            for concurrency in question.concurrencies:
                await self._closed(concurrency, each_s)
            await self._take_turns(each_s)
        else:
            each_s = _FIRST_SHARE * question.budget_s / _USUAL_LEVELS
            await self._rise(each_s)
            await self._take_turns(each_s)

    async def _rise(self, each_s: float) -> None:
        """Doubles the concurrency until that brings no more, the budget is spent, or requests fail."""
        concurrency = 1
        while concurrency <= self._question.highest_concurrency:
            wanted_s = max(each_s, _WORTH_WHILE * self._answer_s(concurrency))
            if self._stretches and wanted_s > self._left_s():
                break
            await self._closed(concurrency, wanted_s)
            level = self._level(concurrency)
            if level.n_failed > _MOST_ERRORS * (level.n_good + level.n_failed):
                break
            if is_saturated(self.points()) or self._stop.is_asked:
                break
            concurrency *= 2

    async def _take_turns(self, each_s: float) -> None:
        """Loads again whichever level had the least time, until all are known well or the time is up."""
        while not self._stop.is_asked and self._n_left() != 0:
            lasting = {
                concurrency: max(each_s, _WORTH_WHILE * self._answer_s(concurrency))
                for concurrency in self._stretches
            }
            open_ones = [
                concurrency
                for concurrency, wanted_s in lasting.items()
                if wanted_s + self._answer_s(concurrency) <= self._left_s()
                and not self._is_known(concurrency)
            ]
            if not open_ones:
                return
            found = min(open_ones, key=lambda n: len(self._stretches[n]) * lasting[n])
            await self._closed(found, lasting[found])

    def _is_known(self, concurrency: int) -> bool:
        rates = self._level(concurrency).rates_per_s
        n = len(rates)
        if n < _FEWEST_TURNS:
            return False
        student = _STUDENT_T[min(n - 1, len(_STUDENT_T)) - 1]
        return bool(student * stdev(rates) / n**0.5 <= _NARROW * mean(rates))

    def points(self) -> list[LoadPoint]:
        """What the closed levels say of the knee."""
        return [
            LoadPoint(
                concurrency=level.concurrency, requests_per_s=level.requests_per_s, e2e_s=level.e2e.of(50)
            )
            for level in self.levels
            if level.concurrency is not None and level.e2e is not None
        ]

    def _level(self, concurrency: int) -> LoadLevel:
        stretches = self._stretches[concurrency]
        n, level = self._summed_up.get(concurrency, (0, None))
        if level is None or n != len(stretches):
            level = summarize(stretches, concurrency=concurrency)
            self._summed_up[concurrency] = len(stretches), level
        return level

    def _answer_s(self, concurrency: int) -> float:
        """About how long an answer takes: as measured, or what half as many at once took and half again."""
        if concurrency in self._stretches and (found := self._level(concurrency).e2e) is not None:
            return found.of(50)
        before = max((n for n in self._stretches if n < concurrency), default=None)
        found = None if before is None else self._level(before).e2e
        return 0.0 if found is None else _RAMP * found.of(50)

    async def _closed(self, concurrency: int, duration_s: float) -> None:
        left = self._n_left()
        if self._stop.is_asked or left == 0:
            return
        question = self._question
        if concurrency not in self._plans:
            self._plans[concurrency] = endless_plans(
                question.prompt, question.output, question.seed + concurrency
            )
        # Places that started together would end together; one alone has nobody to be apart from.
        ramp_s = self._answer_s(concurrency) if concurrency > 1 else 0.0
        raw = await run_closed(
            self._send, self._plans[concurrency], concurrency, clock=self._clock, duration_s=duration_s, at_most=left,
            grace_s=self._grace_s(), stop=self._stop, ramp_s=min(ramp_s, duration_s / _WORTH_WHILE),
            tick=self._tick(f"{concurrency} at once"),
        )  # fmt: skip
        self.records += raw.records
        if raw.was_sent:
            self._stretches.setdefault(concurrency, []).append(raw)

    async def _open(
        self, plans: Sequence[RequestPlan], rate: float, text: str, start: float, end: float
    ) -> None:
        left = self._n_left()
        if self._stop.is_asked or left == 0:
            return
        progress = self._progress

        def tick(done: float, n: int) -> None:
            if progress is not None:
                progress(start + (end - start) * done, f"{text}, {n} answered")

        raw = await run_open(
            self._send, plans[:left], clock=self._clock, grace_s=self._grace_s(), stop=self._stop, tick=tick
        )
        self.records += raw.records
        if raw.was_sent:
            self._open_levels.append(summarize((raw,), offered_per_s=rate))

    def _left_s(self) -> float:
        return self._question.budget_s - (self._clock() - self._begun_s)

    def _n_left(self) -> int | None:
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
            progress(min(1.0, 1 - self._left_s() / self._question.budget_s), f"{text}, {n} answered")

        return tick
