"""What one provider charges for one model, as it stands on a day, with where that is known from."""

from dataclasses import dataclass, replace
from datetime import date

from planner.prices.tariff import Schedule, TokenRates

_OUTPUT_SHARE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiPrice:
    """What one provider charges for one model, in US dollars per million tokens, on a day.

    The single figures are those of short prompts in the hours that make up most of a week; `schedule` holds the
    rest, and `planner.prices.call.call_price` charges by it. None means that the source does not say.
    """

    provider: str
    model_id: str
    model_name: str
    schedule: Schedule
    context_tokens: int | None
    note: str
    source: str  # the list and its version
    data_date: date | None  # newest day on which anybody checked any row of the list
    prices_checked: date | None  # newest day on which somebody says to have checked this row
    url: str | None
    known_from: date | None = None  # first day on which this price is known to have held
    known_until: date | None = None  # first day on which it no longer held
    is_deprecated: bool = False
    rivals: tuple["ApiPrice", ...] = ()  # what other sources say, where it differs by more than 2 %

    @property
    def rates(self) -> TokenRates:
        """The rates of a short prompt in the usual hours."""
        return self.schedule.usual.rates

    @property
    def input_usd_per_mtok(self) -> float:
        """A million fresh prompt tokens."""
        return self.rates.input_usd_per_mtok

    @property
    def output_usd_per_mtok(self) -> float:
        """A million tokens of the answer."""
        return self.rates.output_usd_per_mtok

    @property
    def cached_input_usd_per_mtok(self) -> float | None:
        """A million prompt tokens read from the provider's cache."""
        return self.rates.cache_read_usd_per_mtok

    @property
    def is_free(self) -> bool:
        """Whether a token costs nothing, which is an offer and not a price to plan with."""
        return self.rates.is_offer

    @property
    def mixed_usd_per_mtok(self) -> float:
        """One figure to sort by: three input tokens, none cached, for each output token."""
        return (1 - _OUTPUT_SHARE) * self.input_usd_per_mtok + _OUTPUT_SHARE * self.output_usd_per_mtok

    def with_note(self, text: str) -> "ApiPrice":
        """The same price with one more remark."""
        return replace(self, note="; ".join(part for part in (self.note, text) if part))
