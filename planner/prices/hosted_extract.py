"""Writes profiles/hosted_prices.json, prices that genai-prices lacks, from wheels of litellm of several days.

    pip download --no-deps --uploaded-prior-to 2026-07-01 litellm
    python -m planner.prices.hosted_extract profiles/hosted_prices.json 2026-06-30=litellm-….whl 2026-11-20=litellm-….whl

A day is one on which the wheel was the newest. Only the price file inside is read, nothing is installed, and only what is
charged is kept. A price counts from the first day on which it was seen to the last; in between, when no other one was seen.
"""

import json
import sys
import zipfile
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from planner.prices.line import Period, PriceLine
from planner.prices.litellm_rows import lines_of
from planner.prices.schedule_json import schedule_data
from planner.prices.tariff import Schedule, TokenRates

_INSIDE = "litellm/model_prices_and_context_window_backup.json"
_URL = "https://github.com/BerriAI/litellm/blob/main/model_prices_and_context_window.json"
_LICENCE = "MIT, copyright (c) 2023 Berri AI"

Key = tuple[str, str]


def extract(wheels: Mapping[date, Path]) -> str:
    """The file's text: what it is, then one model a line."""
    days = sorted(wheels)
    seen = [_lines(wheels[day], day) for day in days]
    newest = seen[-1]
    head = {
        "source": _named(wheels[days[-1]]), "as_of": days[-1].isoformat(), "url": _URL, "licence": _LICENCE,
        "seen": {day.isoformat(): _named(wheels[day]) for day in days},
    }  # fmt: skip
    lines = []
    for key in sorted({key for lines in seen for key in lines}):
        last = newest.get(key) or next(lines[key] for lines in reversed(seen) if key in lines)
        observed = [
            (day, lines[key].periods[-1]) for day, lines in zip(days, seen, strict=True) if key in lines and lines[key].periods
        ]  # fmt: skip
        if observed or last.retired:
            lines.append(json.dumps(_data(last, _joined(observed, days))))
    text = json.dumps(head, indent=1)[:-2]
    return f'{text},\n "lines": [\n' + ",\n".join(lines) + "\n]}\n"


def _named(wheel: Path) -> str:
    return f"litellm {wheel.name.split('-')[1]}"


def _lines(wheel: Path, day: date) -> dict[Key, PriceLine]:
    with zipfile.ZipFile(wheel) as archive:
        rows = json.loads(archive.read(_INSIDE))
    found: dict[Key, PriceLine] = {}
    for line in lines_of(rows, named=_named(wheel), day=day):
        if line.key not in found or (found[line.key].retired and not line.retired):
            found[line.key] = line
    return found


def _joined(observed: Sequence[tuple[date, Period]], days: Sequence[date]) -> list[Period]:
    """Periods of observations. One lasts to the next observation when that has the same rates, else only its own day."""
    periods: list[Period] = []
    for i, (day, period) in enumerate(observed):
        following = observed[i + 1] if i + 1 < len(observed) else None
        if following is None:
            until = period.until if day == days[-1] else day + timedelta(days=1)
        elif days.index(following[0]) == days.index(day) + 1 and _same(
            period.schedule, following[1].schedule
        ):
            until = following[0]
        else:
            until = day + timedelta(days=1)
        if periods and periods[-1].until == day and periods[-1].schedule == period.schedule:
            day = periods.pop().since
        periods.append(Period(since=day, until=until, schedule=period.schedule, is_start_known=False))
    return periods


def _same(one: Schedule, other: Schedule) -> bool:
    def rates(schedule: Schedule) -> TokenRates:
        return schedule.usual.rates

    return (rates(one).input_usd_per_mtok, rates(one).output_usd_per_mtok) == (
        rates(other).input_usd_per_mtok,
        rates(other).output_usd_per_mtok,
    )


def _data(line: PriceLine, periods: Sequence[Period]) -> dict[str, Any]:
    data: dict[str, Any] = {"provider": line.provider, "model_id": line.model_id}
    if line.retired:
        data["retired"] = line.retired.isoformat()
    if periods:
        data["periods"] = [
            {
                "since": period.since.isoformat(),
                **({"until": period.until.isoformat()} if period.until else {}),
                "schedule": schedule_data(period.schedule),
            }
            for period in periods
        ]
    if line.context_tokens:
        data["context_tokens"] = line.context_tokens
    if line.url:
        data["url"] = line.url
    return data


if __name__ == "__main__":
    given = dict(argument.split("=", 1) for argument in sys.argv[2:])
    wheels = {date.fromisoformat(day): Path(wheel) for day, wheel in given.items()}
    Path(sys.argv[1]).write_text(extract(wheels), encoding="utf-8")
