"""What one task of a workload costs at an API: the mean over its lengths, its calls, and the hours in which it comes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import numpy as np

from hardware.spec import Basis
from planner.compare.options import USD_PER_TASK, ApiOption
from planner.errors import PriceError
from planner.estimate.term import Term, total
from planner.prices.call import CallTokens, call_price
from planner.prices.figure import Figure, Figures
from planner.prices.price import ApiPrice
from planner.prices.tariff import Processing, Tariff, utc
from planner.workload.draw import draw_tasks
from planner.workload.totals import expected_task, largest_call_tokens
from planner.workload.workload import Traffic, Workload

_DRAWN_TASKS = 2_000  # where the price depends on the length of each prompt
_SEED = 1
_TERMS = (
    ("fresh input", "fresh_input_usd"),
    ("cached input", "cached_input_usd"),
    ("writing to the cache", "cache_write_usd"),
    ("thinking", "thinking_usd"),
    ("output", "output_usd"),
    ("fee per request", "request_usd"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Calls:
    """Calls that stand for those of a task; `times` turns what they are charged in all into a task's share, by term."""

    tokens: CallTokens
    times: Mapping[str, float]


def api_option(
    price: ApiPrice,
    workload: Workload,
    at: datetime,
    *,
    processing: Processing = "standard",
    same_weights: bool = False,
    caches: bool = True,
    volume_tiers: tuple[tuple[float, float], ...] = (),
) -> ApiOption:
    """A model at a provider as an option for a workload.

    `caches` is False where the provider is not to keep prompts; then nothing is read from its cache. The bounds of the price are what
    other sources say, where they differ.
    """
    terms, notes = task_terms(price, workload, at, processing, caches=caches)
    usd = total(terms)
    said = [usd, *_others(price, workload, at, processing, caches=caches)]
    checked = price.prices_checked or price.data_date
    name = f"{price.provider}/{price.model_id}" + ("" if processing == "standard" else f", {processing}")
    figure = Figure(
        name=USD_PER_TASK,
        value=usd,
        unit="USD",
        basis=Basis.VENDOR,
        source=price.source + (f", {price.url}" if price.url else ""),
        as_of=None if checked is None else checked.isoformat(),
        low=min(said) if len(said) > 1 else None,
        high=max(said) if len(said) > 1 else None,
    )
    return ApiOption(
        name=name,
        provider=price.provider,
        model=price.model_id,
        specific=Figures({USD_PER_TASK: figure}),
        task_terms=terms,
        same_weights=same_weights,
        processing=processing,
        volume_tiers=volume_tiers,
        notes=notes,
    )


def task_terms(
    price: ApiPrice,
    workload: Workload,
    at: datetime,
    processing: Processing = "standard",
    *,
    caches: bool = True,
) -> tuple[tuple[Term, ...], tuple[str, ...]]:
    """What one task costs at a moment's prices, by what is charged for, and remarks on it.

    Where prices change by the hour, each hour of a week counts by how busy it is; the workload's hours are taken to be UTC. Where
    they change with the length of the prompt, 2,000 drawn tasks stand for all.
    """
    notes: list[str] = []
    sums = {name: 0.0 for name, _ in _TERMS}
    calls: dict[bool, _Calls] = {}
    for moment, share in _moments(price, workload.traffic, at, processing):
        tariff = price.schedule.at(moment, processing) if processing in price.schedule.processings else None
        drawn = tariff is not None and _depends_on_length(tariff, workload)
        if drawn not in calls:
            calls[drawn] = _drawn(workload, caches) if drawn else _expected(workload, caches)
        charged = call_price(_for_any_day(price), calls[drawn].tokens, moment, processing)
        notes.extend(charged.notes)
        for name, field in _TERMS:
            sums[name] += share * _sum(getattr(charged, field)) * calls[drawn].times[name]
    checked = price.prices_checked or price.data_date
    terms = tuple(
        Term(
            name=name,
            value=value,
            unit="USD",
            basis=Basis.VENDOR,
            source=price.source,
            as_of=None if checked is None else checked.isoformat(),
        )
        for name, value in sums.items()
        if value or name in ("fresh input", "output")
    )
    return terms, tuple(dict.fromkeys(notes))


def _others(
    price: ApiPrice, workload: Workload, at: datetime, processing: Processing, *, caches: bool
) -> Iterator[float]:
    """What the task costs by other sources' prices, as far as they have one for this way of processing."""
    for rival in price.rivals:
        if processing in rival.schedule.processings:
            yield total(task_terms(_for_any_day(rival), workload, at, processing, caches=caches)[0])


def _moments(
    price: ApiPrice, traffic: Traffic, at: datetime, processing: Processing
) -> list[tuple[datetime, float]]:
    """Moments that stand for the hours of a week, with the share of the tasks that come in them."""
    # The price's own days are checked once, for the day that is asked for.
    call_price(price, CallTokens(prompt=1, output=1), at, processing)
    if not price.schedule.windows or processing != "standard":
        return [(at, 1.0)]
    start = utc(at).replace(minute=30, second=0, microsecond=0)
    day, week = traffic.day_profile, traffic.week_profile
    whole = sum(day) * sum(week)
    shares: dict[int, tuple[datetime, float]] = {}
    for hour in range(168):
        moment = start + timedelta(hours=hour)
        weight = day[moment.hour] * week[moment.weekday()] / whole
        key = id(price.schedule.at(moment))
        known = shares.get(key, (moment, 0.0))
        shares[key] = (known[0], known[1] + weight)
    return [found for found in shares.values() if found[1] > 0]


def _for_any_day(price: ApiPrice) -> ApiPrice:
    return replace(price, known_from=None, known_until=None)


def _depends_on_length(tariff: Tariff, workload: Workload) -> bool:
    """Whether some calls are charged at another rate than others."""
    if not tariff.tiers:
        return False
    largest = largest_call_tokens(workload)
    return largest is None or largest > tariff.tiers[0].above_prompt_tokens


def _expected(workload: Workload, caches: bool) -> _Calls:
    """The mean call, as often as a task makes one: exact where every token of a kind costs the same."""
    task = expected_task(workload)
    call = task.call
    cached = call.cached if caches else 0.0
    return _Calls(
        tokens=CallTokens(
            prompt=call.prompt,
            output=call.output,
            cached=cached,
            cache_written=call.prompt - cached if _writes(workload, caches) else 0.0,
            thinking=call.thinking,
        ),
        times={name: task.n_calls for name, _ in _TERMS},
    )


def _drawn(workload: Workload, caches: bool) -> _Calls:
    """Calls of drawn tasks, each charged by its own length and then moved to the expected number of tokens."""
    tasks = list(islice(draw_tasks(workload, _SEED), _DRAWN_TASKS))
    calls = [call for task in tasks for call in task.calls]
    if not calls:
        raise PriceError(f"no task of the workload {workload.name!r} makes a call")
    prompt = np.array([call.n_prompt_tokens for call in calls], dtype=float)
    cached = np.array([call.n_known_tokens for call in calls], dtype=float) * caches
    thinking = np.array([call.n_thinking_tokens for call in calls], dtype=float) * workload.samples
    output = np.array([call.n_output_tokens for call in calls], dtype=float) * workload.samples
    task = expected_task(workload)
    known = task.tokens.cached if caches else 0.0
    fresh = _ratio(task.tokens.prompt - known, float((prompt - cached).sum()))
    return _Calls(
        tokens=CallTokens(
            prompt=prompt,
            output=output,
            cached=cached,
            cache_written=prompt - cached if _writes(workload, caches) else 0.0 * prompt,
            thinking=thinking,
        ),
        times={
            "fresh input": fresh,
            "cached input": _ratio(known, float(cached.sum())),
            "writing to the cache": fresh,
            "thinking": _ratio(task.tokens.thinking, float(thinking.sum())),
            "output": _ratio(task.tokens.output, float(output.sum())),
            "fee per request": task.n_calls,
        },
    )


def _writes(workload: Workload, caches: bool) -> bool:
    """Whether what is new in a prompt is put into the cache for the next call: in an agent's loop."""
    return caches and workload.agent is not None


def _ratio(expected: float, drawn: float) -> float:
    return expected / drawn if drawn else 0.0


def _sum(usd: Any) -> float:
    """Of all calls, where there are many."""
    return float(usd.sum()) if hasattr(usd, "sum") else float(usd)
