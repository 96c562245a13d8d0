"""What one provider charges for one model at one time: rates per kind of token, long prompts, hours, ways of processing.

Rates are US dollars per million tokens. None means that the source does not say; it never means free.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from typing import Final, Literal, get_args

from planner.errors import PriceError

# How a call is processed: "batch" may take hours, "flex" waits for idle machines, "priority" and "fast" cost more.
Processing = Literal["standard", "batch", "flex", "priority", "fast"]
PROCESSINGS: Final[tuple[Processing, ...]] = get_args(Processing)
EVERY_DAY: Final = (1, 2, 3, 4, 5, 6, 7)
MIDNIGHT: Final = time(0, 0)
_A_MONDAY: Final = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRates:
    """What a million tokens of each kind cost. Thinking costs as much as output where no rate of its own is known."""

    input_usd_per_mtok: float
    output_usd_per_mtok: float
    cache_read_usd_per_mtok: float | None = None
    cache_write_usd_per_mtok: float | None = None
    thinking_usd_per_mtok: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            rate = getattr(self, field.name)
            if rate is not None and not 0 <= rate < float("inf"):
                raise PriceError(f"{field.name} is {rate!r}; a price is 0 or more, and finite")

    @property
    def cached_usd_per_mtok(self) -> float:
        """What a cached prompt token is charged: as a fresh one where no lower rate is known."""
        return (
            self.input_usd_per_mtok if self.cache_read_usd_per_mtok is None else self.cache_read_usd_per_mtok
        )

    @property
    def written_usd_per_mtok(self) -> float:
        """What a prompt token that is put into the cache is charged: as a fresh one where no rate is known."""
        return (
            self.input_usd_per_mtok
            if self.cache_write_usd_per_mtok is None
            else self.cache_write_usd_per_mtok
        )

    @property
    def thought_usd_per_mtok(self) -> float:
        """What a thinking token is charged."""
        return self.output_usd_per_mtok if self.thinking_usd_per_mtok is None else self.thinking_usd_per_mtok

    @property
    def is_offer(self) -> bool:
        """Whether a token costs nothing, which is an offer and not a price to plan with."""
        return self.input_usd_per_mtok == 0 or self.output_usd_per_mtok == 0

    def __str__(self) -> str:
        return f"{self.input_usd_per_mtok:g} in, {self.output_usd_per_mtok:g} out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Rates of all tokens of a call whose prompt is longer than a limit."""

    above_prompt_tokens: int
    rates: TokenRates


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """Rates by the length of the prompt, and a fee per request. A longer prompt changes the rate of the whole call."""

    rates: TokenRates
    tiers: tuple[Tier, ...] = ()  # by rising length
    usd_per_request: float = 0.0

    def __post_init__(self) -> None:
        limits = [0, *(tier.above_prompt_tokens for tier in self.tiers)]
        if any(later <= earlier for earlier, later in pairwise(limits)):
            raise PriceError(f"tiers start at {limits[1:]}; each must start above the one before")

    def steps(self) -> tuple[tuple[float, float, TokenRates], ...]:
        """Each step of the tariff: above how many prompt tokens, up to how many, at what rates."""
        starts = [-1.0, *(float(tier.above_prompt_tokens) for tier in self.tiers), float("inf")]
        rates = [self.rates, *(tier.rates for tier in self.tiers)]
        return tuple(zip(starts[:-1], starts[1:], rates, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Hours of some days of the week (Monday is 1), both in UTC, with a tariff of their own.

    The end is not part of the window; 00:00 as an end is midnight. A window may run past midnight, into the next day.
    """

    start: time
    end: time
    tariff: Tariff
    weekdays: tuple[int, ...] = EVERY_DAY

    def __post_init__(self) -> None:
        if not self.weekdays or not set(self.weekdays) <= set(EVERY_DAY):
            raise PriceError(f"weekdays are {self.weekdays}; they are numbers from 1 (Monday) to 7")

    def holds(self, moment: datetime) -> bool:
        """Whether a moment (UTC) lies in the window."""
        clock, day = moment.time(), moment.isoweekday()
        if self.start < self.end or self.end == MIDNIGHT:
            return day in self.weekdays and self.start <= clock and (clock < self.end or self.end == MIDNIGHT)
        if clock >= self.start:
            return day in self.weekdays
        return clock < self.end and (day - 2) % 7 + 1 in self.weekdays  # it began the day before

    def __str__(self) -> str:
        days = "" if self.weekdays == EVERY_DAY else f"{_days(self.weekdays)} "
        if self.start == self.end == MIDNIGHT:
            return f"{days or 'every day '}all day UTC"
        end = "24:00" if self.end == MIDNIGHT else f"{self.end:%H:%M}"
        return f"{days}{self.start:%H:%M}-{end} UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Everything that is charged for a model on a day: the first window that holds, else `tariff`; and other modes."""

    tariff: Tariff
    windows: tuple[Window, ...] = ()
    modes: tuple[tuple[Processing, Tariff], ...] = ()  # other than standard

    def at(self, moment: datetime, processing: Processing = "standard") -> Tariff:
        """The tariff of a moment; KeyError for a way of processing that has no price here."""
        if processing != "standard":
            return dict(self.modes)[processing]
        moment = utc(moment)
        return next((window.tariff for window in self.windows if window.holds(moment)), self.tariff)

    @property
    def processings(self) -> tuple[Processing, ...]:
        """The ways of processing that have a price."""
        return ("standard", *(processing for processing, _ in self.modes))

    @property
    def usual(self) -> Tariff:
        """The tariff that holds for most hours of a week."""
        if not self.windows:
            return self.tariff
        hours: dict[int, float] = {}
        tariffs = (self.tariff, *(window.tariff for window in self.windows))
        for moment, length_h in self._segments():
            charged = self.at(moment)
            found = next(i for i, tariff in enumerate(tariffs) if tariff == charged)
            hours[found] = hours.get(found, 0.0) + length_h
        return tariffs[max(hours, key=lambda i: hours[i])]

    def _segments(self) -> Sequence[tuple[datetime, float]]:
        """A week cut where a window may begin or end: the start of each piece and its hours."""
        cuts = {0} | {
            edge.hour * 60 + edge.minute for window in self.windows for edge in (window.start, window.end)
        }
        starts = sorted(cuts)
        ends = [*starts[1:], 24 * 60]
        return [
            (_A_MONDAY + timedelta(days=day, minutes=start), (end - start) / 60)
            for day in range(7)
            for start, end in zip(starts, ends, strict=True)
        ]


def flat(
    input_usd_per_mtok: float,
    output_usd_per_mtok: float,
    cache_read_usd_per_mtok: float | None = None,
    *,
    modes: tuple[tuple[Processing, Tariff], ...] = (),
) -> Schedule:
    """A schedule of one price at all hours and lengths."""
    rates = TokenRates(
        input_usd_per_mtok=input_usd_per_mtok,
        output_usd_per_mtok=output_usd_per_mtok,
        cache_read_usd_per_mtok=cache_read_usd_per_mtok,
    )
    return Schedule(tariff=Tariff(rates=rates), modes=modes)


def utc(moment: datetime) -> datetime:
    """A moment in UTC; one without a zone is taken to be in it."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _days(weekdays: tuple[int, ...]) -> str:
    names = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    ordered = sorted(weekdays)
    if len(ordered) > 1 and ordered == list(range(ordered[0], ordered[-1] + 1)):
        return f"{names[ordered[0] - 1]}-{names[ordered[-1] - 1]}"
    return ",".join(names[day - 1] for day in ordered)
