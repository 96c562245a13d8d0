"""`planner price history` as a document: days, prices, and a line to see them by."""

import math
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from planner.prices.history import PriceHistory, PriceStep, at_each_day
from planner.report.document import Document, Table
from planner.report.quantities import usd_per_mtok

_BLOCKS = "▁▂▃▄▅▆▇█"
_WIDTH = 40
_GAP = "·"


def price_history_document(histories: Sequence[PriceHistory], today: date) -> Document:
    """Each provider's steps, oldest first, and a line of the mixed price over all days."""
    rows = tuple(
        (
            history.provider,
            history.model_id,
            step.begins,
            "–" if step.until is None else step.until.isoformat(),
            usd_per_mtok(step.price.input_usd_per_mtok),
            usd_per_mtok(step.price.cached_input_usd_per_mtok),
            usd_per_mtok(step.price.output_usd_per_mtok),
            step.price.source,
        )
        for history in histories
        for step in history.steps
    )
    days = _days(histories, today)
    lines = tuple(
        (history.provider, history.model_id, sparkline(at_each_day(history.steps, days)))
        for history in histories
        if len(history.steps) > 1
    )
    return Document(
        schema="planner.price-history/1",
        title="Price history",
        answer=(
            f"{_counted(len(rows), 'price')} at {_counted(len(histories), 'provider')}; US dollars per million tokens.",
        ),
        tables=(
            Table(
                title="",
                headers=("provider", "model", "from", "until", "in", "cached", "out", "source"),
                rows=rows,
                right=(4, 5, 6),
            ),
            *(
                [
                    Table(
                        title=f"Three tokens in for one out, {days[0]} to {days[-1]}, logarithmic",
                        headers=("provider", "model", "price"),
                        rows=lines,
                    )
                ]
                if lines
                else []
            ),
        ),
        notes=(
            '"by" before a day: the price held on that day; when it began is not recorded. A dot: no known price.',
        ),
        data={"histories": [_data(history) for history in histories]},
    )


def _counted(n: int, word: str) -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


def sparkline(prices: Sequence[float | None]) -> str:
    """Prices as blocks between the lowest and the highest, on a logarithmic scale; a dot where none is known."""
    known = [math.log(price) for price in prices if price]
    if not known:
        return _GAP * len(prices)
    low, high = min(known), max(known)
    top = len(_BLOCKS) - 1
    return "".join(
        _GAP
        if not price
        else _BLOCKS[top if high == low else round((math.log(price) - low) / (high - low) * top)]
        for price in prices
    )


def _days(histories: Sequence[PriceHistory], today: date) -> tuple[date, ...]:
    """Days at even distances, from the first known price to today or the last announced one."""
    starts = [step.since for history in histories for step in history.steps]
    first, last = min(starts, default=today), max([today, *starts])
    length = max(1, (last - first).days)
    return tuple(first + timedelta(days=round(i * length / (_WIDTH - 1))) for i in range(_WIDTH))


def _data(history: PriceHistory) -> dict[str, Any]:
    return {
        "provider": history.provider,
        "model_id": history.model_id,
        "model_name": history.model_name,
        "prices": [_step(step) for step in history.steps],
    }


def _step(step: PriceStep) -> dict[str, Any]:
    return {
        "since": step.since.isoformat(),
        "is_start_known": step.is_start_known,
        "until": None if step.until is None else step.until.isoformat(),
        "input_usd_per_mtok": step.price.input_usd_per_mtok,
        "output_usd_per_mtok": step.price.output_usd_per_mtok,
        "cached_input_usd_per_mtok": step.price.cached_input_usd_per_mtok,
        "source": step.price.source,
        "url": step.price.url,
        "note": step.price.note,
    }
