"""How the price of one model at one provider went over time, according to one source."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from planner.errors import PriceError
from planner.prices.price import ApiPrice
from planner.prices.tariff import Schedule
from planner.prices.wording import remarks


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A schedule and the days it held: from `since` up to, not including, `until`.

    Where the source gives no start, `since` is the first day on which it is known to have held and
    `is_start_known` is False.
    """

    since: date
    until: date | None
    schedule: Schedule
    is_start_known: bool = True
    note: str = ""
    url: str | None = None  # where this very price stands; else that of the line

    def __post_init__(self) -> None:
        if self.until is not None and self.until <= self.since:
            raise PriceError(f"a price from {self.since} cannot end on {self.until}")

    @property
    def begins(self) -> str:
        """The start in words: the day, or that it held by then."""
        return str(self.since) if self.is_start_known else f"by {self.since}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceLine:
    """One row of a price source, with its history: the periods follow each other, and may leave gaps."""

    provider: str
    model_id: str
    model_name: str
    periods: tuple[Period, ...]
    context_tokens: int | None
    source: str
    data_date: date | None
    prices_checked: date | None = None
    url: str | None = None
    is_deprecated: bool = False
    notes: tuple[str, ...] = ()
    withdrawn: date | None = None  # from this day on nobody can buy it there, whatever other lists still show
    retired: date | None = None  # this list alone says so: other lists' prices are shown, and marked

    def __post_init__(self) -> None:
        if not self.periods and self.retired is None:
            raise PriceError(f"{self.provider} {self.model_id} has no price")
        for earlier, later in pairwise(self.periods):
            if earlier.until is None or earlier.until > later.since:
                raise PriceError(
                    f"{self.provider} {self.model_id} has two prices on {later.since} in {self.source}"
                )

    @property
    def known_from(self) -> date:
        """The first day with a known price."""
        return self.periods[0].since

    @property
    def key(self) -> tuple[str, str]:
        """What tells this line from the others of its source."""
        return (self.provider, self.model_id.casefold())

    def period_on(self, day: date) -> Period | None:
        """The period that a day lies in, if any."""
        for period in self.periods:
            if period.since <= day and (period.until is None or day < period.until):
                return period
        return None

    def price_on(self, day: date) -> ApiPrice:
        """The price on a day; PriceError when it is not known."""
        period = self.period_on(day)
        if period is None:
            raise PriceError(f"{self.model_id} at {self.provider}: {self.why_unknown(day)}")
        return self.price_of(period)

    def price_of(self, period: Period) -> ApiPrice:
        """The price of one of the periods; what comes after it is told in the note."""
        announced = [
            f"from {later.since}: {later.schedule.usual.rates}"
            for later in self.periods
            if later.since > period.since and later.schedule.usual.rates != period.schedule.usual.rates
        ]
        parts = (*announced, *remarks(period.schedule), period.note, *self.notes)
        return ApiPrice(
            provider=self.provider,
            model_id=self.model_id,
            model_name=self.model_name,
            schedule=period.schedule,
            context_tokens=self.context_tokens,
            note="; ".join(part for part in parts if part),
            source=self.source,
            data_date=self.data_date,
            prices_checked=self.prices_checked,
            url=period.url or self.url,
            known_from=period.since,
            known_until=period.until,
            is_deprecated=self.is_deprecated,
        )

    def why_unknown(self, day: date) -> str:
        """Why a day has no price, in words."""
        if day < self.known_from:
            return f"not known before {self.known_from} ({self.source}); asked for {day}"
        earlier = [period for period in self.periods if period.until is not None and period.until <= day]
        return f"no known price since {earlier[-1].until} ({self.source}); asked for {day}"


def chained(starts: Sequence[tuple[date, bool, Schedule, str]]) -> tuple[Period, ...]:
    """Periods from their starts (day, whether it is the true start, schedule, remark); equal neighbours are joined."""
    kept: list[tuple[date, bool, Schedule, str]] = []
    for start in starts:
        if not kept or start[2:] != kept[-1][2:]:
            kept.append(start)
    ends: list[date | None] = [*(start[0] for start in kept[1:]), None]
    return tuple(
        Period(since=since, until=until, schedule=schedule, is_start_known=known, note=note)
        for (since, known, schedule, note), until in zip(kept, ends, strict=True)
    )
