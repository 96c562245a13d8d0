"""`planner price update` as a document: what a fetched list changes."""

from typing import Any

from planner.prices.line import PriceLine
from planner.prices.price_changes import ChangedPrice, UpdatedPrices
from planner.report.document import Document, Table


def price_update_document(updated: UpdatedPrices) -> Document:
    """Prices that are other ones than before, and where the list is kept."""
    where = "nothing was kept (--dry-run)" if updated.kept_in is None else f"kept in {updated.kept_in}"
    return Document(
        schema="planner.price-update/1",
        title="Price update",
        answer=(
            (
                f"{updated.n_prices:,} prices, newest check {updated.data_date}; {len(updated.changes):,} differ from the "
                f"list in use until now; {where}."
            ),
        ),
        tables=(
            Table(
                title="",
                headers=("provider", "model", "before", "after"),
                rows=tuple(
                    (change.provider, change.model_id, _rates(change.before), _rates(change.after))
                    for change in updated.changes
                ),
            ),
        ),
        data={
            "url": updated.url,
            "source": updated.source,
            "data_date": None if updated.data_date is None else updated.data_date.isoformat(),
            "n_prices": updated.n_prices,
            "kept_in": None if updated.kept_in is None else str(updated.kept_in),
            "changes": [_data(change) for change in updated.changes],
        },
    )


def _rates(line: PriceLine | None) -> str:
    return "not listed" if line is None else str(line.periods[-1].schedule.usual.rates)


def _data(change: ChangedPrice) -> dict[str, Any]:
    return {
        "provider": change.provider,
        "model_id": change.model_id,
        "before": _pair(change.before),
        "after": _pair(change.after),
    }


def _pair(line: PriceLine | None) -> dict[str, float] | None:
    if line is None:
        return None
    rates = line.periods[-1].schedule.usual.rates
    return {"input_usd_per_mtok": rates.input_usd_per_mtok, "output_usd_per_mtok": rates.output_usd_per_mtok}
