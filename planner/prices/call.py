"""What one call costs, with everything that is charged: the one place where tokens meet rates.

Plain arithmetic over a frozen price record; tokens may be numbers or NumPy arrays of calls.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hardware.units import TOKENS_PER_MTOK
from planner.errors import PriceError
from planner.prices.price import ApiPrice
from planner.prices.tariff import Processing, Tariff, utc

Amount = Any  # a number, or a NumPy array of them


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTokens:
    """The tokens of one call, or arrays of them for many calls.

    `prompt` is the whole prompt: `cached` of it are read from the provider's cache and `cache_written` are put there.
    `thinking` tokens come before the visible `output` and are not part of it.
    """

    prompt: Amount
    output: Amount
    cached: Amount = 0
    cache_written: Amount = 0
    thinking: Amount = 0

    def __post_init__(self) -> None:
        for name in ("prompt", "output", "cached", "cache_written", "thinking"):
            count = getattr(self, name)
            if not _all(count >= 0):
                raise PriceError(f"a call cannot have {count:,} tokens" if _is_one(count) else f"{name}: a call cannot have fewer than 0 tokens")  # fmt: skip
        if not _all(self.cached + self.cache_written <= self.prompt):
            if _is_one(self.prompt) and self.cached > self.prompt:
                raise PriceError(
                    f"{self.cached:,} cached tokens of a prompt of {self.prompt:,}: the prompt is counted whole"
                )
            raise PriceError(
                "cached and cache-written tokens together are more than the prompt, which is counted whole"
            )

    @property
    def fresh(self) -> Amount:
        """Prompt tokens at the plain input rate."""
        return self.prompt - self.cached - self.cache_written


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPrice:
    """What one call costs, term by term; `total_usd` is their sum."""

    provider: str
    model_id: str
    processing: Processing
    fresh_input_usd: Amount
    cached_input_usd: Amount
    cache_write_usd: Amount
    thinking_usd: Amount
    output_usd: Amount
    request_usd: Amount
    notes: tuple[str, ...]
    source: str

    @property
    def input_usd(self) -> Amount:
        """All that is charged for the prompt."""
        return self.fresh_input_usd + self.cached_input_usd + self.cache_write_usd

    @property
    def total_usd(self) -> Amount:
        """The sum of the terms."""
        return self.input_usd + self.thinking_usd + self.output_usd + self.request_usd


def call_price(
    price: ApiPrice, tokens: CallTokens, at: datetime, processing: Processing = "standard"
) -> CallPrice:
    """What a call at a moment (UTC when it names no zone) costs.

    Σ tokens of a kind · rate of the kind, at the tier that the whole prompt reaches, plus the fee per request.
    Cached and written tokens without a rate of their own are charged as fresh ones, thinking as output.
    """
    _require_known(price, at)
    if processing not in price.schedule.processings:
        raise PriceError(
            f"no {processing} price of {price.model_id} at {price.provider} is known from {price.source}; "
            f"known: {', '.join(price.schedule.processings)}"
        )
    tariff = price.schedule.at(at, processing)
    charged = {"fresh": 0.0, "cached": 0.0, "written": 0.0, "thinking": 0.0, "output": 0.0}
    for above, up_to, rates in tariff.steps():
        reached = (tokens.prompt > above) & (tokens.prompt <= up_to)
        charged["fresh"] += reached * (tokens.fresh * rates.input_usd_per_mtok)
        charged["cached"] += reached * (tokens.cached * rates.cached_usd_per_mtok)
        charged["written"] += reached * (tokens.cache_written * rates.written_usd_per_mtok)
        charged["thinking"] += reached * (tokens.thinking * rates.thought_usd_per_mtok)
        charged["output"] += reached * (tokens.output * rates.output_usd_per_mtok)
    return CallPrice(
        provider=price.provider,
        model_id=price.model_id,
        processing=processing,
        fresh_input_usd=charged["fresh"] / TOKENS_PER_MTOK,
        cached_input_usd=charged["cached"] / TOKENS_PER_MTOK,
        cache_write_usd=charged["written"] / TOKENS_PER_MTOK,
        thinking_usd=charged["thinking"] / TOKENS_PER_MTOK,
        output_usd=charged["output"] / TOKENS_PER_MTOK,
        request_usd=tariff.usd_per_request,
        notes=_notes(price, tariff, tokens),
        source=price.source,
    )


def _require_known(price: ApiPrice, at: datetime) -> None:
    day = utc(at).date()
    if price.known_from is not None and day < price.known_from:
        raise PriceError(
            f"the price of {price.model_id} at {price.provider} is not known before {price.known_from} "
            f"({price.source}); asked for {day}"
        )
    if price.known_until is not None and day >= price.known_until:
        raise PriceError(
            f"this price of {price.model_id} at {price.provider} held until {price.known_until} "
            f"({price.source}); asked for {day}"
        )


def _notes(price: ApiPrice, tariff: Tariff, tokens: CallTokens) -> tuple[str, ...]:
    notes = [price.note]
    rates = tariff.rates
    if rates.cache_read_usd_per_mtok is None and not _all(tokens.cached == 0):
        notes.append("no price for cached input is known: charged as fresh input")
    if rates.cache_write_usd_per_mtok is None and not _all(tokens.cache_written == 0):
        notes.append("no price for writing to the cache is known: charged as fresh input")
    if tariff.usd_per_request:
        notes.append("the total holds a fee per request")
    return tuple(note for note in notes if note)


def _all(condition: Any) -> bool:
    """Whether a condition holds, for all calls where there are many."""
    return bool(condition.all()) if hasattr(condition, "all") else bool(condition)


def _is_one(count: Amount) -> bool:
    return isinstance(count, int | float)
