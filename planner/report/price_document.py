"""`planner price show` as a document: API prices with source and date."""

import statistics
from collections.abc import Sequence
from datetime import date
from typing import Any

from planner.prices.price import ApiPrice
from planner.prices.schedule_json import schedule_data
from planner.report.document import Document, Table, listed
from planner.report.price_amounts import Money

_FEW = 2


def price_document(prices: Sequence[ApiPrice], query: str | None, money: Money) -> Document:
    """Prices, cheapest first."""
    ordered = sorted(prices, key=lambda price: (price.mixed_usd_per_mtok, price.provider, price.model_id))
    what = f"match {query!r}" if query else "are the reference prices for self-hosting"
    word = "price" if len(ordered) == 1 else "prices"
    if len(ordered) == 1:
        what = what.replace("match ", "matches ").replace(
            "are the reference prices", "is the reference price"
        )
    main = ordered[0].source if ordered else ""
    for price in ordered:
        if price.source.startswith("genai-prices"):
            main = price.source
            break
    return Document(
        schema="planner.price/1",
        title="API prices",
        answer=(
            f"{len(ordered)} {word} {what}; {money.per_mtok}, from {source_names(ordered)}.",
            *([_spread(ordered, money)] if query and len(ordered) > _FEW else []),
        ),
        tables=(
            Table(
                title="",
                headers=("provider", "model", "in", "cached", "out", "as of", "note"),
                rows=tuple(
                    (
                        price.provider,
                        price.model_id,
                        money.rate_of(price.input_usd_per_mtok),
                        money.rate_of(price.cached_input_usd_per_mtok),
                        money.rate_of(price.output_usd_per_mtok),
                        as_of(price),
                        _note(price, main),
                    )
                    for price in ordered
                ),
                right=(2, 3, 4),
            ),
        ),
        notes=money.notes,
        data={
            "query": query,
            "currency": money.data(),
            "prices": [price_data(price) for price in ordered],
        },
    )


def _spread(prices: Sequence[ApiPrice], money: Money) -> str:
    """How far hosts lie apart, in the price that rows are sorted by."""
    mixed = [price.mixed_usd_per_mtok for price in prices if not price.is_free and not price.is_deprecated]
    if not mixed:
        return "None of them is an offer to plan with."
    low, middle, high = (money.rate_of(usd) for usd in (min(mixed), statistics.median(mixed), max(mixed)))
    return f"Three tokens in for one out cost from {low} to {high}, in the middle {middle}."


def source_names(prices: Sequence[ApiPrice]) -> str:
    """The lists that prices are from, each with its newest date."""
    newest: dict[str, date | None] = {}
    for price in prices:
        newest[price.source] = price.data_date
    return listed([f"{name} ({day})" if day else name for name, day in newest.items()]) or "no list"


def as_of(price: ApiPrice) -> str:
    """The day on which somebody looked: at this row where that is known, else at any row of the list."""
    day = price.prices_checked or price.data_date
    return "–" if day is None else day.isoformat()


def price_data(price: ApiPrice) -> dict[str, Any]:
    """One price, JSON-ready, dates as text; all amounts are US dollars."""
    return {
        "provider": price.provider,
        "model_id": price.model_id,
        "model_name": price.model_name,
        "input_usd_per_mtok": price.input_usd_per_mtok,
        "output_usd_per_mtok": price.output_usd_per_mtok,
        "cached_input_usd_per_mtok": price.cached_input_usd_per_mtok,
        "context_tokens": price.context_tokens,
        "schedule": schedule_data(price.schedule),
        "note": price.note,
        "source": price.source,
        "data_date": _day(price.data_date),
        "prices_checked": _day(price.prices_checked),
        "known_from": _day(price.known_from),
        "known_until": _day(price.known_until),
        "url": price.url,
        "is_deprecated": price.is_deprecated,
        "other_sources": [
            {
                "source": rival.source,
                "input_usd_per_mtok": rival.input_usd_per_mtok,
                "output_usd_per_mtok": rival.output_usd_per_mtok,
                "cached_input_usd_per_mtok": rival.cached_input_usd_per_mtok,
            }
            for rival in price.rivals
        ],
    }


def _note(price: ApiPrice, main: str) -> str:
    source = f"from {price.source}" if price.source != main else ""
    return "; ".join(part for part in (source, price.note) if part)


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
