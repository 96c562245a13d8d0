"""`planner price` as a document: API prices with source and date."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from planner.prices.price_list import ApiPrice
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
    data = asdict(price)
    for key in ("data_date", "prices_checked"):
        data[key] = data[key].isoformat() if data[key] else None
    return data
