"""`planner price` as a document: API prices with source and date."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from planner.prices.price import ApiPrice
from planner.prices.schedule_json import schedule_data
from planner.report.document import Document, Table
from planner.report.quantities import usd_per_mtok


def price_document(prices: Sequence[ApiPrice], query: str | None) -> Document:
    """Prices, cheapest first."""
    ordered = sorted(prices, key=lambda price: (price.mixed_usd_per_mtok, price.provider, price.model_id))
    sources = list(dict.fromkeys(price.source for price in ordered))
    dates = [price.data_date for price in ordered if price.data_date is not None]
    newest = f", newest check {max(dates).isoformat()}" if dates else ""
    what = f"match {query!r}" if query else "are the reference prices for self-hosting"
    return Document(
        schema="planner.price/1",
        title="API prices",
        answer=(
            f"{len(ordered)} prices {what}; US dollars per million tokens, from {', '.join(sources)}{newest}.",
        ),
        tables=(
            Table(
                title="",
                headers=("provider", "model", "in", "cached", "out", "checked", "note"),
                rows=tuple(
                    (
                        price.provider,
                        price.model_id,
                        usd_per_mtok(price.input_usd_per_mtok),
                        usd_per_mtok(price.cached_input_usd_per_mtok),
                        usd_per_mtok(price.output_usd_per_mtok),
                        price.prices_checked.isoformat() if price.prices_checked else "–",
                        price.note,
                    )
                    for price in ordered
                ),
                right=(2, 3, 4),
            ),
        ),
        data={"query": query, "prices": [price_data(price) for price in ordered]},
    )


def price_data(price: ApiPrice) -> dict[str, Any]:
    """One price, JSON-ready, dates as text."""
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
    }


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
