"""How a price went: the days on which it changed, all sources taken together."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from planner.prices.book import Key, PriceBook
from planner.prices.price import ApiPrice


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceStep:
    """A price and the days it held; `is_start_known` is False where it may have begun before `since`."""

    since: date
    is_start_known: bool
    until: date | None  # None: it holds still, or nobody says that it ended
    price: ApiPrice

    @property
    def begins(self) -> str:
        """The start in words: the day, or that it held by then."""
        return str(self.since) if self.is_start_known else f"by {self.since}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceHistory:
    """How a model's price went at one provider."""

    provider: str
    model_id: str
    model_name: str
    steps: tuple[PriceStep, ...]


def price_steps(book: PriceBook, key: Key) -> tuple[PriceStep, ...]:
    """The steps of one model's price at one provider, oldest first; days without a known price are left out.

    A step ends where input, output or cached price change. What changes besides, such as a way of processing that
    gets a price, begins no step.
    """
    lines = book.by_model()[key]
    known_starts = {period.since for line in lines for period in line.periods if period.is_start_known}
    edges = {period.since for line in lines for period in line.periods}
    edges |= {period.until for line in lines for period in line.periods if period.until is not None}
    days = sorted(edges)
    by_day = {day: book.known_on(key, day) for day in days}
    steps: list[PriceStep] = []
    for day, following in zip(days, [*days[1:], None], strict=True):
        price = by_day[day]
        if price is None:
            continue
        last = steps[-1] if steps else None
        if last is not None and last.until == day and last.price.rates == price.rates:
            steps[-1] = PriceStep(
                since=last.since, is_start_known=last.is_start_known, until=following, price=price
            )
        else:
            is_known = day in known_starts
            steps.append(PriceStep(since=day, is_start_known=is_known, until=following, price=price))
    return tuple(steps)


def at_each_day(steps: Sequence[PriceStep], days: Sequence[date]) -> tuple[float | None, ...]:
    """The mixed price of each day, None where none is known."""
    found = []
    for day in days:
        held = [step for step in steps if step.since <= day and (step.until is None or day < step.until)]
        found.append(held[-1].price.mixed_usd_per_mtok if held else None)
    return tuple(found)
