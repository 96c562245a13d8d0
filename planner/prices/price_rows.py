"""Rows of a price table as price lines: the packaged prices of the past, and the user's own price files.

A table has one row for each period of a price; `profiles.price_schema.PRICE_COLUMNS` are its columns. A JSON file
holds the rows in a list, and may give a whole `schedule` instead of rates: tiers, hours, ways of processing.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from planner.errors import PriceError
from planner.prices.currency import exchange_rate
from planner.prices.line import Period, PriceLine
from planner.prices.schedule_json import schedule_of
from planner.prices.tariff import PROCESSINGS, Processing, Schedule, Tariff, TokenRates

Cells = Mapping[str, Any]  # texts or numbers; None and missing are unknown

_KINDS = {
    "input": "input_usd_per_mtok",
    "output": "output_usd_per_mtok",
    "cached_input": "cache_read_usd_per_mtok",
    "cache_write": "cache_write_usd_per_mtok",
    "thinking": "thinking_usd_per_mtok",
}


def lines_of(rows: Iterable[Cells], *, named: str, today: date) -> tuple[PriceLine, ...]:
    """One line for each model at a provider, its rows put in order of their dates.

    A row without a start holds from `today`, the day of the file; in a file with several rows of a model each needs
    one.
    """
    grouped: dict[tuple[str, str], list[Cells]] = {}
    for row in rows:
        key = (str(row["provider"]).strip().casefold(), str(row["model_id"]).strip())
        grouped.setdefault((key[0], key[1].casefold()), []).append(row)
    return tuple(_line(group, named, today) for group in grouped.values())


def _line(rows: list[Cells], named: str, today: date) -> PriceLine:
    ordered = sorted(rows, key=lambda row: str(row.get("since") or today))
    provider, model_id = str(ordered[0]["provider"]).strip().casefold(), str(ordered[0]["model_id"]).strip()
    periods = []
    for row, following in zip(ordered, [*ordered[1:], None], strict=True):
        since = _day(row, "since")
        until = _day(row, "until")
        if until is None and following is not None:
            until = _day(following, "since")
        if len(ordered) > 1 and since is None:
            raise PriceError(
                f"{named}: {provider} {model_id} has several prices; each needs a day in `since`"
            )
        periods.append(
            Period(
                since=since or today,
                until=until,
                schedule=_schedule(row, since or today),
                is_start_known=since is not None,
                note=_text(row, "note") or "",
                url=_text(row, "url"),
            )
        )
    last = ordered[-1]
    checked = [day for row in ordered if (day := _day(row, "checked")) is not None]
    return PriceLine(
        provider=provider,
        model_id=model_id,
        model_name=_text(last, "model_name") or model_id,
        periods=tuple(periods),
        context_tokens=int(last["context_tokens"]) if last.get("context_tokens") else None,
        source=named,
        data_date=max(checked, default=None),
        prices_checked=max(checked, default=None),
        url=_text(last, "url"),
        withdrawn=periods[-1].until if str(last.get("withdrawn") or "0") in ("1", "True", "true") else None,
    )


def _schedule(row: Cells, day: date) -> Schedule:
    if row.get("schedule") is not None:
        return schedule_of(row["schedule"])
    rate = exchange_rate(_text(row, "currency") or "USD", day)
    standard = _rates(row, "", rate.usd_per_unit)
    if standard is None:
        raise PriceError(
            f"{row['provider']} {row['model_id']}: a price needs input_per_mtok and output_per_mtok"
        )
    fee = float(row.get("usd_per_request") or 0.0)
    modes: list[tuple[Processing, Tariff]] = [
        (processing, Tariff(rates=rates, usd_per_request=fee))
        for processing in PROCESSINGS[1:]
        if (rates := _rates(row, f"{processing}_", rate.usd_per_unit)) is not None
    ]
    return Schedule(tariff=Tariff(rates=standard, usd_per_request=fee), modes=tuple(modes))


def _rates(row: Cells, prefix: str, usd_per_unit: float) -> TokenRates | None:
    found = {}
    for kind, name in _KINDS.items():
        cell = row.get(f"{prefix}{kind}_per_mtok")
        found[name] = None if cell is None else float(cell) * usd_per_unit
    given, taken = found.pop("input_usd_per_mtok"), found.pop("output_usd_per_mtok")
    if given is None or taken is None:
        return None
    return TokenRates(input_usd_per_mtok=given, output_usd_per_mtok=taken, **found)


def _day(row: Cells, name: str) -> date | None:
    return date.fromisoformat(str(row[name])) if row.get(name) else None


def _text(row: Cells, name: str) -> str | None:
    return str(row[name]) if row.get(name) else None
