"""The adapter to the genai-prices package: its rows as frozen records, and its own calculation of a call.

genai-prices is imported inside the functions that need it, because that takes about half a second.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING

from planner.errors import PriceError

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ConditionalPrice, ModelInfo, ModelPrice, PriceVariant, Provider

# In prose, a date after one of these words says when somebody looked at the provider's page.
_CHECKED_ON = re.compile(
    r"(?:verified|checked|updated)(?: \w+){0,2}? on (20\d\d-\d\d-\d\d)|as of (20\d\d-\d\d-\d\d)"
)
_OUTPUT_SHARE = 0.25
_HOURS_PER_DAY = 24

# What the price list cannot say of itself.
_PROVIDER_NOTES = {
    "deepseek": "price lists disagree about DeepSeek by up to a factor of 2: check the provider's page",
    "openrouter": "a routed price: it changes with the host that answers",
}
_OTHER_TOKENS = {
    "input_audio_mtok": "audio in", "output_audio_mtok": "audio out", "input_image_mtok": "images in",
    "output_image_mtok": "images out", "input_video_mtok": "video in", "output_video_mtok": "video out",
    "output_reasoning_mtok": "reasoning tokens",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiPrice:
    """What one provider charges for one model, in US dollars per million tokens.

    The figures are the base price on a day: the first tier and, where the price changes by the hour, the one that
    holds for most hours; the note tells what else may be charged. None means that the list does not say.
    """

    provider: str
    model_id: str
    model_name: str
    input_usd_per_mtok: float
    output_usd_per_mtok: float
    cached_input_usd_per_mtok: float | None
    context_tokens: int | None
    note: str
    source: str  # the package and its version
    data_date: date | None  # newest day on which anybody checked any row of the list
    prices_checked: date | None  # newest day on which somebody says to have checked this row
    url: str | None
    is_deprecated: bool = False

    @property
    def is_free(self) -> bool:
        """Whether a token costs nothing, which is an offer and not a price to plan with."""
        return self.input_usd_per_mtok == 0 or self.output_usd_per_mtok == 0

    @property
    def mixed_usd_per_mtok(self) -> float:
        """One figure to sort by: three input tokens, none cached, for each output token."""
        return (1 - _OUTPUT_SHARE) * self.input_usd_per_mtok + _OUTPUT_SHARE * self.output_usd_per_mtok

    def with_note(self, text: str) -> "ApiPrice":
        """The same price with one more remark."""
        return replace(self, note=_join([self.note, text]))


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPrice:
    """What one call costs; the total may hold a fee per request besides input and output."""

    provider: str
    model_id: str
    total_usd: float
    input_usd: float
    output_usd: float
    note: str
    source: str

    def with_note(self, text: str) -> "CallPrice":
        """The same price with one more remark."""
        return replace(self, note=_join([self.note, text]))


@cache
def source() -> str:
    """The package that the prices come from, with its version."""
    return f"genai-prices {version('genai-prices')}"


@cache
def _snapshot() -> "DataSnapshot":
    from genai_prices.data_snapshot import get_snapshot

    return get_snapshot()


@cache
def all_prices(day: date) -> tuple[ApiPrice, ...]:
    """Every row with a price for both input and output tokens, as it stands on a day (UTC)."""
    newest = data_date()
    found = []
    for provider in _snapshot().providers:
        for model in provider.models:
            price = _api_price(provider, model, day, newest)
            if price is not None:
                found.append(price)
    return tuple(found)


@cache
def data_date() -> date | None:
    """The newest day on which a comment of the list says that a price was checked."""
    checked: list[date] = []
    for provider in _snapshot().providers:
        comments = [provider.price_comments, *(model.price_comments for model in provider.models)]
        checked.extend(day for day in map(_checked_on, comments) if day is not None)
    return max(checked, default=None)


def find(provider_id: str, model_id: str) -> "tuple[Provider, ModelInfo] | None":
    """The provider and model of an id: the very id of a row first, else what the package makes of it."""
    snapshot = _snapshot()
    for provider in snapshot.providers:
        if provider.id == provider_id:
            for model in provider.models:
                if model.id.casefold() == model_id.casefold():
                    return provider, model
    try:
        return snapshot.find_provider_model(model_id, None, provider_id, None)
    except LookupError:
        return None


def calculate(
    provider: "Provider",
    model: "ModelInfo",
    input_tokens: int,
    cached_tokens: int,
    output_tokens: int,
    at: datetime,
) -> CallPrice:
    """The package's own calculation of one call at a moment (UTC when it names no zone)."""
    from genai_prices import Usage

    charged = model.get_prices(at)
    if charged.input_mtok is None or charged.output_mtok is None:
        raise PriceError(f"{provider.id} {model.id} has no price per input and output token in {source()}")
    usage = Usage(input_tokens=input_tokens, cache_read_tokens=cached_tokens, output_tokens=output_tokens)
    result = model.calc_price(usage, provider, genai_request_timestamp=at)
    notes = [_PROVIDER_NOTES.get(provider.id), _before_records(model, at)]
    if _by_hour(model, charged)[1]:
        notes.append("the price depends on the hour of the day (UTC)")
    if charged.requests_kcount is not None:
        notes.append("the total holds a fee per request")
    if charged.cache_read_mtok is None and cached_tokens:
        notes.append("no price for cached input is known: charged as fresh input")
    return CallPrice(
        provider=provider.id,
        model_id=model.id,
        total_usd=float(result.total_price),
        input_usd=float(result.input_price),
        output_usd=float(result.output_price),
        note=_join(notes),
        source=source(),
    )


def _before_records(model: "ModelInfo", at: datetime) -> str | None:
    """The list gives its oldest price for every earlier day without saying so; this says so."""
    day = at.date() if at.tzinfo is None else at.astimezone(UTC).date()
    starts = [start for _, start in _dated(model) if start is not None]
    if starts and day < min(starts):
        return f"the price before {min(starts)} carries no date of its own and is used for {day}"
    newest = data_date()
    if not starts and newest is not None and day < newest:
        return f"the list keeps no dates for this model: its only price is used for {day}"
    return None


def _api_price(provider: "Provider", model: "ModelInfo", day: date, newest: date | None) -> ApiPrice | None:
    charged, hour_notes = _by_hour(model, _all_day_on(model, day))
    given, taken = _usd(charged.input_mtok), _usd(charged.output_mtok)
    if given is None or taken is None:
        return None
    notes = [
        *hour_notes,
        *(
            f"from {start}: {_pair(price)}"
            for price, start in _dated(model)
            if start is not None and start > day
        ),
        _tier_note(charged),
        _batch_note(model.price_variants or (), charged, day),
        _fee_note(charged),
        "priced at 0: an offer, not a market price" if given == 0 or taken == 0 else None,
        "deprecated by the provider" if model.deprecated else None,
        "copied from OpenRouter's list"
        if "Imported from OpenRouter" in (model.price_comments or "")
        else None,
        _PROVIDER_NOTES.get(provider.id),
    ]
    return ApiPrice(
        provider=provider.id,
        model_id=model.id,
        model_name=model.name or model.id,
        input_usd_per_mtok=given,
        output_usd_per_mtok=taken,
        cached_input_usd_per_mtok=_usd(charged.cache_read_mtok),
        context_tokens=model.context_window,
        note=_join(notes),
        source=source(),
        data_date=newest,
        prices_checked=_checked_on(model.price_comments) or _checked_on(provider.price_comments),
        url=provider.pricing_urls[0] if provider.pricing_urls else None,
        is_deprecated=bool(model.deprecated),
    )


def _conditions(model: "ModelInfo") -> "Sequence[ConditionalPrice]":
    from genai_prices.types import ConditionalPrice, ModelPrice

    return [ConditionalPrice(prices=model.prices)] if isinstance(model.prices, ModelPrice) else model.prices


def _dated(model: "ModelInfo") -> "list[tuple[ModelPrice, date | None]]":
    """The prices that hold all day, each with the day it starts; None for one without a date."""
    from genai_prices.types import StartDateConstraint

    found: list[tuple[ModelPrice, date | None]] = []
    for condition in _conditions(model):
        if condition.constraint is None:
            found.append((condition.prices, None))
        elif isinstance(condition.constraint, StartDateConstraint):
            found.append((condition.prices, condition.constraint.start_date))
    return found


def _all_day_on(model: "ModelInfo", day: date) -> "ModelPrice":
    """The price on a day outside any daily window: the last listed one that has begun, as the package picks."""
    begun = [price for price, start in _dated(model) if start is None or start <= day]
    return begun[-1] if begun else _conditions(model)[0].prices


def _by_hour(model: "ModelInfo", outside: "ModelPrice") -> "tuple[ModelPrice, list[str]]":
    """The price that holds for most hours of a day, and a remark on each of the others."""
    from genai_prices.types import TimeOfDateConstraint

    windows = []
    for condition in _conditions(model):
        window = condition.constraint
        if isinstance(window, TimeOfDateConstraint):
            windows.append((window.start_time, window.end_time, condition.prices))
    if not windows:
        return outside, []
    notes = [
        f"{start:%H:%M}-{end:%H:%M} UTC: {_pair(price)} (the list knows no weekdays)"
        for start, end, price in windows
    ]
    notes.append(f"other hours: {_pair(outside)}")
    hours = [(_hours(start, end), price) for start, end, price in windows]
    longest = max(hours, key=lambda pair: pair[0])
    if longest[0] > _HOURS_PER_DAY - sum(count for count, _ in hours):
        return longest[1], notes
    return outside, notes


def _hours(start: time, end: time) -> float:
    minutes = (end.hour - start.hour) * 60 + end.minute - start.minute
    return (minutes / 60) % _HOURS_PER_DAY


def _tier_note(charged: "ModelPrice") -> str | None:
    from genai_prices.types import TieredPrices

    starts: set[int] = set()
    for price in (charged.input_mtok, charged.output_mtok):
        if isinstance(price, TieredPrices):
            starts.update(tier.start for tier in price.tiers)
    parts = [
        f"prompt over {start:,} tokens: {_usd(charged.input_mtok, start):g} in, {_usd(charged.output_mtok, start):g} out"
        for start in sorted(starts)
    ]
    return _join(parts) or None


def _batch_note(variants: "Sequence[PriceVariant]", charged: "ModelPrice", day: date) -> str | None:
    from genai_prices.types import StartDateConstraint

    for variant in variants:
        if variant.when != {"processing": "batch"}:
            continue
        if isinstance(variant.constraint, StartDateConstraint) and variant.constraint.start_date > day:
            continue
        given = _usd(variant.prices.input_mtok)
        taken = _usd(variant.prices.output_mtok)
        given = _usd(charged.input_mtok) if given is None else given
        taken = _usd(charged.output_mtok) if taken is None else taken
        return f"batch: {given:g} in, {taken:g} out"
    return None


def _fee_note(charged: "ModelPrice") -> str | None:
    parts = [words for key, words in _OTHER_TOKENS.items() if getattr(charged, key) is not None]
    fee = _usd(charged.requests_kcount)
    if fee is not None:
        return _join(
            [f"and {fee:g} per 1,000 requests", f"other prices for {', '.join(parts)}" if parts else None]
        )
    return f"other prices for {', '.join(parts)}" if parts else None


def _usd(price: object, prompt_tokens: int = 0) -> float | None:
    """The price for a prompt of just over `prompt_tokens` (0: the first tier)."""
    from genai_prices.types import TieredPrices

    if price is None:
        return None
    if isinstance(price, TieredPrices):
        reached = [tier.price for tier in price.tiers if prompt_tokens and prompt_tokens >= tier.start]
        return float(reached[-1] if reached else price.base)
    return float(str(price))


def _pair(price: "ModelPrice") -> str:
    given, taken = _usd(price.input_mtok), _usd(price.output_mtok)
    return f"{'?' if given is None else f'{given:g}'} in, {'?' if taken is None else f'{taken:g}'} out"


def _checked_on(comment: str | None) -> date | None:
    if comment is None:
        return None
    days = [date.fromisoformat(match[1] or match[2]) for match in _CHECKED_ON.finditer(comment)]
    return max(days, default=None)


def _join(parts: Sequence[str | None]) -> str:
    return "; ".join(part for part in parts if part)
