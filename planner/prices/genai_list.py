"""The adapter to the genai-prices package: its rows as price lines.

genai-prices is imported inside the functions that need it, because that takes about half a second.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import date, time, timedelta
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from planner.errors import PriceError
from planner.prices.line import Period, PriceLine, chained
from planner.prices.tariff import Processing, Schedule, Tariff, Tier, TokenRates, Window

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ConditionalPrice, ModelInfo, ModelPrice, PriceVariant, Provider

# In prose, a date after one of these words says when somebody looked at the provider's page.
_CHECKED_ON = re.compile(
    r"(?:verified|checked|updated)(?: \w+){0,2}? on (20\d\d-\d\d-\d\d)|as of (20\d\d-\d\d-\d\d)"
)
_FIRST_DAY = date.min + timedelta(days=1)

# What the price list cannot say of itself.
_PROVIDER_NOTES = {"openrouter": "a routed price: it changes with the host that answers"}
_OTHER_TOKENS = {
    "input_audio_mtok": "audio in", "output_audio_mtok": "audio out", "input_image_mtok": "images in",
    "output_image_mtok": "images out", "input_video_mtok": "video in", "output_video_mtok": "video out",
}  # fmt: skip
# How the package names the ways of processing that have a price of their own.
_PROCESSINGS: dict[tuple[str, str], Processing] = {
    ("processing", "batch"): "batch",
    ("service_tier", "flex"): "flex",
    ("service_tier", "priority"): "priority",
    ("service_tier", "fast"): "fast",
    ("speed", "fast"): "fast",
}


@cache
def source() -> str:
    """The package that the prices come from, with its version."""
    return f"genai-prices {version('genai-prices')}"


@cache
def snapshot() -> "DataSnapshot":
    """The prices that came with the package."""
    from genai_prices.data_snapshot import get_snapshot

    return get_snapshot()


@cache
def packaged_lines() -> tuple[PriceLine, ...]:
    """Every row of the package with a price for both input and output tokens."""
    return lines_of(snapshot().providers, source())


def lines_of_raw(content: list[Any], named: str, fetched: date) -> tuple[PriceLine, ...]:
    """The same of a list as the package's repository publishes it; one that says no dates is as of its fetching."""
    from genai_prices.types import _providers_from_raw  # what UpdatePrices itself reads a reply with

    return lines_of(_providers_from_raw(content), named, fetched)


def lines_of(
    providers: "Sequence[Provider]", named: str, undated: date | None = None
) -> tuple[PriceLine, ...]:
    """Every row of a list with a price for both input and output tokens, under the list's name."""
    newest = newest_check(providers) or undated
    if newest is None:
        raise PriceError(f"{named} does not say when any of its prices was checked")
    return tuple(_lines(providers, named, newest))


def listed_id(provider_id: str, model_id: str) -> str | None:
    """The id under which the package itself would price a model's name: "gpt-4o-2024-08-06" as "gpt-4o"."""
    try:
        return snapshot().find_provider_model(model_id, None, provider_id, None)[1].id
    except LookupError:
        return None


def newest_check(providers: "Sequence[Provider]") -> date | None:
    """The newest day on which a comment of a list says that a price was checked."""
    comments = (
        comment
        for provider in providers
        for comment in (provider.price_comments, *(model.price_comments for model in provider.models))
    )
    return max((day for day in map(_checked_on, comments) if day is not None), default=None)


def _lines(providers: "Sequence[Provider]", named: str, newest: date) -> Iterator[PriceLine]:
    for provider in providers:
        for model in provider.models:
            checked = _checked_on(model.price_comments) or _checked_on(provider.price_comments)
            periods = _periods(model, checked or newest)
            if periods is None:
                continue
            yield PriceLine(
                provider=provider.id,
                model_id=model.id,
                model_name=model.name or model.id,
                periods=periods,
                context_tokens=model.context_window,
                source=named,
                data_date=newest,
                prices_checked=checked,
                url=provider.pricing_urls[0] if provider.pricing_urls else None,
                is_deprecated=bool(model.deprecated),
                notes=tuple(_notes(provider, model)),
            )


def _periods(model: "ModelInfo", seen: date) -> tuple[Period, ...] | None:
    """The model's prices one after the other; None when there is none per token.

    The package uses its oldest price for every earlier day. Here a price without a start is known from the day it
    was seen or, if its successor began before that, from the day before.
    """
    if not _conditions(model):
        return None
    days = sorted(_start_days(model))
    first = min(seen, days[0] - timedelta(days=1)) if days else seen
    starts: list[tuple[date, bool, Schedule, str]] = []
    for day in (first, *days):
        schedule, note = _schedule(
            model, day if day in days else _FIRST_DAY, is_last=day == (days or [first])[-1]
        )
        if schedule is None:
            continue
        starts.append((day, day in days, schedule, note))
    return chained(starts) if starts else None


def _start_days(model: "ModelInfo") -> set[date]:
    from genai_prices.types import StartDateConstraint

    return {
        item.constraint.start_date
        for item in (*_conditions(model), *(model.price_variants or ()))
        if isinstance(item.constraint, StartDateConstraint)
    }


def _schedule(model: "ModelInfo", day: date, *, is_last: bool) -> tuple[Schedule | None, str]:
    """All that is charged on a day. Hours carry no date in the list: they are taken to belong to its newest price."""
    from genai_prices.types import StartDateConstraint, TimeOfDateConstraint

    conditions = _conditions(model)
    begun = [
        i
        for i, item in enumerate(conditions)
        if item.constraint is None
        or (isinstance(item.constraint, StartDateConstraint) and item.constraint.start_date <= day)
    ]
    charged = begun[-1] if begun else 0
    windows = [
        (item.constraint.start_time, item.constraint.end_time, item.prices)
        for item in reversed(conditions[charged:])  # the package lets the last one win
        if isinstance(item.constraint, TimeOfDateConstraint)
    ]
    outside = conditions[charged].prices
    tariff = _tariff(outside)
    if tariff is None:
        return None, ""
    note = "prices by the hour of that time are not recorded" if windows and not is_last else ""
    found = tuple(
        Window(start=_utc(start), end=_utc(end), tariff=during)
        for start, end, price in (windows if is_last else ())
        if (during := _tariff(price)) is not None
    )
    return Schedule(
        tariff=tariff, windows=found, modes=_modes(model.price_variants or (), outside, day)
    ), note


def _modes(
    variants: "Sequence[PriceVariant]", charged: "ModelPrice", day: date
) -> tuple[tuple[Processing, Tariff], ...]:
    """Other ways of processing; a variant only gives the prices in which it differs, and the first one wins."""
    from genai_prices.types import ModelPrice, StartDateConstraint

    changed: dict[Processing, dict[str, object]] = {}
    for variant in variants:
        if len(variant.when) != 1:
            continue
        processing = _PROCESSINGS.get(next(iter(variant.when.items())))
        if processing is None:
            continue
        if isinstance(variant.constraint, StartDateConstraint) and variant.constraint.start_date > day:
            continue
        own = changed.setdefault(processing, {})
        for key, price in variant.prices.__dict__.items():
            if price is not None:
                own.setdefault(key, price)
    found: list[tuple[Processing, Tariff]] = []
    for processing, own in changed.items():
        tariff = _tariff(ModelPrice(**{**charged.__dict__, **own}))
        if tariff is not None:
            found.append((processing, tariff))
    return tuple(found)


def _tariff(charged: "ModelPrice") -> Tariff | None:
    from genai_prices.types import TieredPrices

    keys = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "output_reasoning_mtok")
    prices = [getattr(charged, key) for key in keys]
    starts = {tier.start for price in prices if isinstance(price, TieredPrices) for tier in price.tiers}
    base = _rates(prices, 0)
    if base is None:
        return None
    tiers = tuple(
        Tier(above_prompt_tokens=start, rates=rates)
        for start in sorted(starts)
        if start > 0 and (rates := _rates(prices, start)) is not None
    )
    fee = charged.requests_kcount
    return Tariff(rates=base, tiers=tiers, usd_per_request=0.0 if fee is None else float(str(fee)) / 1000)


def _rates(prices: Sequence[object], start: int) -> TokenRates | None:
    given, taken, read, written, thought = (_usd(price, start) for price in prices)
    if given is None or taken is None:
        return None
    return TokenRates(
        input_usd_per_mtok=given,
        output_usd_per_mtok=taken,
        cache_read_usd_per_mtok=read,
        cache_write_usd_per_mtok=written,
        thinking_usd_per_mtok=thought,
    )


def _usd(price: object, start: int) -> float | None:
    """The price of a prompt that is longer than `start` tokens (0: the first tier)."""
    from genai_prices.types import TieredPrices

    if price is None:
        return None
    if isinstance(price, TieredPrices):
        reached = [tier.price for tier in price.tiers if start and start >= tier.start]
        return float(reached[-1] if reached else price.base)
    return float(str(price))


def _notes(provider: "Provider", model: "ModelInfo") -> Iterator[str]:
    first = _conditions(model)[-1].prices
    other = [words for key, words in _OTHER_TOKENS.items() if getattr(first, key) is not None]
    if other:
        yield f"other prices for {', '.join(other)}"
    if model.deprecated:
        yield "deprecated by the provider"
    if "Imported from OpenRouter" in (model.price_comments or ""):
        yield "copied from OpenRouter's list"
    if provider.id in _PROVIDER_NOTES:
        yield _PROVIDER_NOTES[provider.id]


def _conditions(model: "ModelInfo") -> "Sequence[ConditionalPrice]":
    from genai_prices.types import ConditionalPrice, ModelPrice

    return [ConditionalPrice(prices=model.prices)] if isinstance(model.prices, ModelPrice) else model.prices


def _utc(clock: time) -> time:
    """A time of day without its zone, after checking that the zone is UTC."""
    offset = clock.utcoffset()
    if offset is not None and offset != timedelta(0):
        raise PriceError(f"the price list has hours in another zone than UTC ({clock})")
    return clock.replace(tzinfo=None)


def _checked_on(comment: str | None) -> date | None:
    if comment is None:
        return None
    days = [date.fromisoformat(match[1] or match[2]) for match in _CHECKED_ON.finditer(comment)]
    return max(days, default=None)
