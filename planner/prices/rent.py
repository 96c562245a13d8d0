"""What an accelerator is rented or bought for: dated ranges from the profiles, each with its source.

Most figures are single published prices or secondary sources; they are ranges to reason with, not quotes.
"""

from dataclasses import dataclass
from difflib import get_close_matches

from planner.errors import PriceError
from profiles.loader import accelerator_rows, purchase_rows, rent_rows
from profiles.schema import Row, number


@dataclass(frozen=True, slots=True, kw_only=True)
class RentPrice:
    """A rent of one accelerator per hour. `kind` is on-demand, spot, reserved, or tco: a model of what owning costs."""

    accelerator_id: str
    provider: str
    kind: str
    usd_per_gpu_hour_low: float
    usd_per_gpu_hour_high: float
    all_in_power_w: float | None  # of one accelerator with its share of host, network and cooling
    as_of: str | None  # None: the source carries no date
    source: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchasePrice:
    """A price of one accelerator, or of the whole machine it only comes with. `kind` is new, used, list or estimate."""

    accelerator_id: str
    kind: str
    unit: str  # gpu | machine
    usd_low: float
    usd_high: float
    as_of: str | None
    source: str
    note: str


def rent_prices(accelerator_id: str, kind: str | None = None) -> tuple[RentPrice, ...]:
    """Known rents of an accelerator, newest first; empty when none is known."""
    _require_known(accelerator_id)
    rows = [row for row in rent_rows() if row["accelerator_id"] == accelerator_id]
    return tuple(
        RentPrice(
            accelerator_id=accelerator_id,
            provider=_text(row, "provider"),
            kind=_text(row, "kind"),
            usd_per_gpu_hour_low=_number(row, "usd_per_gpu_hour_low"),
            usd_per_gpu_hour_high=_number(row, "usd_per_gpu_hour_high"),
            all_in_power_w=number(row["all_in_power_w"]),
            as_of=row["as_of"],
            source=_text(row, "source"),
            note=row["note"] or "",
        )
        for row in sorted(rows, key=_date, reverse=True)
        if kind is None or row["kind"] == kind
    )


def purchase_prices(accelerator_id: str, kind: str | None = None) -> tuple[PurchasePrice, ...]:
    """Known purchase prices of an accelerator, newest first; empty when none is known."""
    _require_known(accelerator_id)
    rows = [row for row in purchase_rows() if row["accelerator_id"] == accelerator_id]
    return tuple(
        PurchasePrice(
            accelerator_id=accelerator_id,
            kind=_text(row, "kind"),
            unit=_text(row, "unit"),
            usd_low=_number(row, "usd_low"),
            usd_high=_number(row, "usd_high"),
            as_of=row["as_of"],
            source=_text(row, "source"),
            note=row["note"] or "",
        )
        for row in sorted(rows, key=_date, reverse=True)
        if kind is None or row["kind"] == kind
    )


def _require_known(accelerator_id: str) -> None:
    known = [row["id"] or "" for row in accelerator_rows()]
    if accelerator_id not in known:
        near = [id_ for id_ in known if id_.startswith(accelerator_id.casefold()) and accelerator_id]
        near = near[:3] or get_close_matches(accelerator_id[:80], known, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else "use an id of accelerators.csv"
        raise PriceError(f"no accelerator {accelerator_id[:120]!r} among the {len(known)} known; {hint}")


def _date(row: Row) -> str:
    """A date as text that sorts: the end of a year, quarter or half-year; nothing for no date."""
    text = row["as_of"] or ""
    for word, month in (("Q1", "03"), ("Q2", "06"), ("Q3", "09"), ("Q4", "12"), ("H1", "06"), ("H2", "12")):
        text = text.replace(word, month)
    return f"{text}-12" if len(text) == len("2026") else text


def _text(row: Row, column: str) -> str:
    return row[column] or ""


def _number(row: Row, column: str) -> float:
    value = number(row[column])
    if value is None:
        raise PriceError(f"row {row['id']!r} of the price profiles has no {column}; correct it at its source")
    return value
