"""What to make of several sources for one price: the first is charged, and a difference of more than 2 % is shown."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date

from planner.prices.line import PriceLine
from planner.prices.price import ApiPrice
from planner.prices.tariff import EVERY_DAY, Schedule, Tariff

TOLERANCE = 0.02  # relative; sources round, and convert currencies, to less than this
_DUST = 1e-9  # what floats make of exactly 2 %


def settled(lines: Sequence[PriceLine], day: date) -> ApiPrice | None:
    """The price of the first source that knows one for a day, with those of the others that differ beside it.

    Where it has prices by the hour and no weekdays, and another source has the same prices with weekdays, the other's
    hours count.
    """
    known = [(line, period) for line in lines if (period := line.period_on(day)) is not None]
    if not known:
        return None
    (line, period), *others = known
    for other, its_period in others:
        if _knows_the_days_of(its_period.schedule, period.schedule):
            whole = replace(its_period.schedule, modes=period.schedule.modes)
            note = f"hours and weekdays from {other.source}; public holidays are not known"
            period = replace(period, schedule=whole, note=note)
            break
    chosen = line.price_of(period)
    rivals = tuple(
        price for other, its_period in others if differs(chosen, price := other.price_of(its_period))
    )
    for rival in rivals:
        chosen = chosen.with_note(f"{rival.source} says {_shown(chosen, rival)}")
    for other in lines:
        if other.retired is not None and other.retired <= day:
            chosen = replace(chosen, is_deprecated=True).with_note(
                f"withdrawn since {other.retired}, says {other.source}"
            )
    context = next((other.context_tokens for other, _ in known if other.context_tokens), None)
    return replace(chosen, rivals=rivals, context_tokens=context)


def differs(one: ApiPrice, other: ApiPrice) -> bool:
    """Whether two prices of a million input, output or cached tokens lie more than 2 % apart."""
    return any(_apart(first, second) for first, second in _pairs(one, other))


def _pairs(one: ApiPrice, other: ApiPrice) -> Iterator[tuple[float, float]]:
    yield one.input_usd_per_mtok, other.input_usd_per_mtok
    yield one.output_usd_per_mtok, other.output_usd_per_mtok
    if one.cached_input_usd_per_mtok is not None and other.cached_input_usd_per_mtok is not None:
        yield one.cached_input_usd_per_mtok, other.cached_input_usd_per_mtok


def _apart(first: float, second: float) -> bool:
    return abs(first - second) > TOLERANCE * min(first, second) * (1 + _DUST)


def _shown(chosen: ApiPrice, rival: ApiPrice) -> str:
    cached, other = chosen.cached_input_usd_per_mtok, rival.cached_input_usd_per_mtok
    if cached is not None and other is not None and _apart(cached, other):
        return f"{rival.rates}, {other:g} cached"
    return str(rival.rates)


def _knows_the_days_of(other: Schedule, schedule: Schedule) -> bool:
    """Whether another source has the same prices by the hour, and says on which weekdays each holds."""
    if not schedule.windows or any(window.weekdays != EVERY_DAY for window in schedule.windows):
        return False
    if all(window.weekdays == EVERY_DAY for window in other.windows):
        return False
    return _levels(schedule) == _levels(other)


def _levels(schedule: Schedule) -> set[tuple[float, float]]:
    def pair(tariff: Tariff) -> tuple[float, float]:
        return (tariff.rates.input_usd_per_mtok, tariff.rates.output_usd_per_mtok)

    return {pair(schedule.tariff), *(pair(window.tariff) for window in schedule.windows)}
