"""`planner price table` as a document: one wide table for files, a narrow one for a terminal."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

from planner.prices.main_table import MainModel
from planner.report.document import Cell, Document, Table
from planner.report.price_amounts import Money
from planner.report.price_document import price_data, source_names

_WIDE = (
    "model",
    "kind",
    "in",
    "cached",
    "out",
    "context",
    "score",
    "benchmark",
    "licence",
    "takes",
    "at",
    "hosts",
)
_NARROW = ("model", "in", "cache", "out", "tokens", "score", "licence; takes", "at")
_SCORES = (
    "Scores: {newest}{older}. Those of two releases cannot be compared; --format json has the setting and the source "
    "of each."
)


def price_table_document(
    rows: Sequence[MainModel], day: date, money: Money, *, compact: bool = False
) -> Document:
    """The main models on a day, in the order given."""
    shown = [row.price for row in rows if row.price is not None]
    releases = sorted({_release(row) for row in rows if row.score is not None}, reverse=True)
    older = f", * {' or '.join(releases[1:])}" if releases[1:] else ""
    notes = [
        "Open weights at their cheapest host, and of how many; tokens: the longest context.",
        *([_SCORES.format(newest=releases[0], older=older)] if releases else []),
        *money.notes,
        *(f"{row.name}: {row.why_unknown}." for row in rows if row.price is None),
    ]
    table = (
        Table(
            title="",
            headers=_NARROW,
            rows=tuple(_narrow(row, money, releases) for row in rows),
            right=(1, 2, 3, 4, 5),
        )
        if compact
        else Table(
            title="", headers=_WIDE, rows=tuple(_wide(row, money) for row in rows), right=(2, 3, 4, 5, 6, 11)
        )
    )
    answer = (
        f"{len(rows)} {'model' if len(rows) == 1 else 'models'} on {day}; {money.per_mtok}, from {source_names(shown)}."
        if rows
        else f"No model matches with a price known for {day}; --all shows those without one."
    )
    return Document(
        schema="planner.price-table/1",
        title="Main models",
        answer=(answer,),
        tables=(table,),
        notes=tuple(notes) if rows else (),
        data={
            "day": day.isoformat(),
            "currency": money.data(),
            "models": [_data(row) for row in rows],
        },
    )


def _wide(row: MainModel, money: Money) -> tuple[Cell, ...]:
    price = row.price
    return (
        row.name,
        row.kind,
        money.rate_of(None if price is None else price.input_usd_per_mtok),
        money.rate_of(None if price is None else price.cached_input_usd_per_mtok),
        money.rate_of(None if price is None else price.output_usd_per_mtok),
        row.context_tokens,
        None if row.score is None else row.score.score,
        None if row.score is None else _release(row),
        row.licence or "unknown",
        " ".join(row.modalities),
        None if price is None else price.provider,
        len(row.hosts),
    )


def _narrow(row: MainModel, money: Money, releases: Sequence[str]) -> tuple[Cell, ...]:
    price = row.price
    takes = " ".join(part for part in row.modalities if part != "text") or "text"
    hosts = f" of {len(row.hosts)}" if len(row.hosts) > 1 else ""
    return (
        row.name,
        *(
            "–" if usd is None else _short(money.rate.from_usd(usd))
            for usd in (
                None if price is None else price.input_usd_per_mtok,
                None if price is None else price.cached_input_usd_per_mtok,
                None if price is None else price.output_usd_per_mtok,
            )
        ),
        "–" if row.context_tokens is None else f"{row.context_tokens / 1000:,.0f}k",
        "–" if row.score is None else f"{row.score.score:.1f}{'*' * (_release(row) != releases[0])}",
        f"{row.licence or 'unknown'}; {takes}",
        "–" if price is None else f"{price.provider}{hosts}",
    )


def _short(amount: float) -> str:
    """A price in five characters: three digits, or three decimals below one."""
    if amount >= 1 or amount < 0.0005:
        return f"{amount:.3g}"
    return f"{amount:.3f}".rstrip("0")


def _release(row: MainModel) -> str:
    assert row.score is not None
    return f"{row.score.benchmark} {row.score.release}"


def _data(row: MainModel) -> dict[str, Any]:
    return {
        "name": row.name,
        "kind": row.kind,
        "price": None if row.price is None else price_data(row.price),
        "why_unknown": row.why_unknown or None,
        "hosts": [
            {
                "provider": host.provider,
                "model_id": host.model_id,
                "input_usd_per_mtok": host.input_usd_per_mtok,
                "output_usd_per_mtok": host.output_usd_per_mtok,
                "cached_input_usd_per_mtok": host.cached_input_usd_per_mtok,
                "context_tokens": host.context_tokens,
                "source": host.source,
            }
            for host in row.hosts
        ],
        "context_tokens": row.context_tokens,
        "modalities": list(row.modalities),
        "licence": row.licence,
        "score": None if row.score is None else asdict(row.score),
    }
