"""When requests come, from the times of a log: the rate, how bursty it is, and its hours and days."""

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

from hardware.units import SECONDS_PER_DAY, SECONDS_PER_HOUR
from planner.workload.logged_request import RequestLog
from planner.workload.workload import EVEN_DAY, EVEN_WEEK, FigureSource, Pattern, Traffic

_POISSON: Final = (0.9, 1.1)  # squared coefficients of variation that chance alone gives
_STEADY: Final = 0.05
_FEWEST_GAPS: Final = 30
_TIES: Final = 0.05
_HOURS: Final = 24
_DAYS: Final = 7
_WHOLE_DAY: Final = 0.95  # of it must be there for a profile of its hours


def where_from(log: RequestLog) -> str:
    """How many requests of which days, for the sources of what they tell."""
    first, last = log.requests[0].arrival_s, log.requests[-1].arrival_s
    if not log.has_dates:
        return f"{len(log.requests):,} requests over {last - first:,.0f} s"
    days = [datetime.fromtimestamp(when, UTC).date().isoformat() for when in (first, last)]
    return f"{len(log.requests):,} requests of {days[0]}" + ("" if days[0] == days[1] else f" to {days[1]}")


def date_of(log: RequestLog) -> str | None:
    """The day of the last request; None for times that are of no calendar."""
    if not log.has_dates:
        return None
    return datetime.fromtimestamp(log.requests[-1].arrival_s, UTC).date().isoformat()


def learned_traffic(
    log: RequestLog, span_s: float, where: str, notes: list[str]
) -> tuple[Traffic, tuple[FigureSource, ...]]:
    """The traffic of a log, and where each of its figures comes from."""
    times = _untied([one.arrival_s for one in log.requests], notes)
    variation = _variation(times)
    pattern: Pattern = "poisson"
    burstiness = 1.0
    if variation is not None and variation <= _STEADY:
        pattern = "steady"
    elif variation is not None and not _POISSON[0] <= variation <= _POISSON[1]:
        pattern, burstiness = "bursty", round(variation, 2)
    day = _day_profile(log, span_s)
    week = _week_profile(log, span_s)
    date = date_of(log)

    def source(key: str, note: str, *, is_told: bool) -> FigureSource:
        basis, when = ("measured", date) if is_told else ("assumed", None)
        return FigureSource(key=f"traffic.{key}", basis=basis, note=note, date=when)  # type: ignore[arg-type]

    told = variation is not None
    gaps = (
        f"squared coefficient of variation of the gaps within an hour: {variation:.2f}, {where}"
        if variation is not None
        else "too few requests in any hour to tell"
    )
    sources = (
        source("tasks_per_s", f"requests over the log's whole time, {where}", is_told=True),
        source("pattern", gaps, is_told=told),
        source("burstiness", gaps, is_told=told),
        source(
            "day_profile",
            f"requests by hour in UTC, {where}" if day else "the log has no whole day with dates",
            is_told=day is not None,
        ),
        source(
            "week_profile",
            f"requests by day, {where}" if week else "the log has no whole week with dates",
            is_told=week is not None,
        ),
        source("growth_per_year", "none; state your own", is_told=False),
    )
    return (
        Traffic(
            tasks_per_s=float(f"{(len(times) - 1) / span_s:.6g}"),
            pattern=pattern,
            burstiness=burstiness,
            day_profile=day or EVEN_DAY,
            week_profile=week or EVEN_WEEK,
        ),
        sources,
    )


def _untied(times: Sequence[float], notes: list[str]) -> list[float]:
    """Times of a coarse clock, spread over its unit: many at the same second are no burst."""
    gaps = [after - before for before, after in pairwise(times)]
    ties = sum(gap == 0 for gap in gaps)
    if ties <= _TIES * len(gaps) or ties == len(gaps):
        return list(times)
    unit = min(gap for gap in gaps if gap > 0)
    notes.append(f"the log's clock counts in steps of {unit:g} s; requests are spread over each step")
    chance = random.Random(0)  # noqa: S311 (times, not secrets)
    return sorted(time + unit * chance.random() for time in times)


def _variation(times: Sequence[float]) -> float | None:
    """Squared coefficient of variation of the gaps within hours, by their number: the day's own waves are left out."""
    by_hour: dict[int, list[float]] = {}
    for before, after in pairwise(times):
        by_hour.setdefault(int(before // SECONDS_PER_HOUR), []).append(after - before)
    total, n = 0.0, 0
    for gaps in by_hour.values():
        mean = sum(gaps) / len(gaps)
        if len(gaps) < _FEWEST_GAPS or mean <= 0:
            continue
        total += sum((gap - mean) ** 2 for gap in gaps) / mean**2
        n += len(gaps)
    return total / n if n else None


def _day_profile(log: RequestLog, span_s: float) -> tuple[float, ...] | None:
    if span_s < _WHOLE_DAY * SECONDS_PER_DAY:
        return None
    return _profile(
        log, SECONDS_PER_HOUR, _HOURS, lambda when: int(when % SECONDS_PER_DAY // SECONDS_PER_HOUR)
    )


def _week_profile(log: RequestLog, span_s: float) -> tuple[float, ...] | None:
    if not log.has_dates or span_s < _WHOLE_DAY * _DAYS * SECONDS_PER_DAY:
        return None
    return _profile(log, SECONDS_PER_DAY, _DAYS, lambda when: datetime.fromtimestamp(when, UTC).weekday())


def _profile(
    log: RequestLog, unit_s: float, n: int, place: Callable[[float], int]
) -> tuple[float, ...] | None:
    """Requests per time that the log covers, of each hour or day, over their mean; None where one is not covered."""
    counts, covered = [0] * n, [0.0] * n
    first, last = log.requests[0].arrival_s, log.requests[-1].arrival_s
    for one in log.requests:
        counts[place(one.arrival_s)] += 1
    start = first // unit_s * unit_s
    while start <= last:
        covered[place(start)] += min(last, start + unit_s) - max(first, start)
        start += unit_s
    if min(covered) <= 0:
        return None
    rates = [count / seconds for count, seconds in zip(counts, covered, strict=True)]
    mean = sum(rates) / n
    return tuple(round(rate / mean, 3) for rate in rates)
