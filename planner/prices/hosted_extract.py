"""Writes profiles/hosted_prices.json, the prices that genai-prices lacks, from litellm's wheel.

    pip download --no-deps litellm
    python -m planner.prices.hosted_extract litellm-*.whl 2026-11-20 profiles/hosted_prices.json

The day is the one on which the wheel was published (`pip install --dry-run --uploaded-prior-to` tells). Only the price
file inside is read, nothing is installed, and only what is charged is kept.
"""

import json
import sys
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

from planner.prices.line import PriceLine
from planner.prices.litellm_rows import lines_of
from planner.prices.schedule_json import schedule_data

_INSIDE = "litellm/model_prices_and_context_window_backup.json"
_URL = "https://github.com/BerriAI/litellm/blob/main/model_prices_and_context_window.json"
_LICENCE = "MIT, copyright (c) 2023 Berri AI"


def extract(wheel: Path, day: date) -> str:
    """The file's text: what it is, then one model a line."""
    with zipfile.ZipFile(wheel) as archive:
        rows = json.loads(archive.read(_INSIDE))
    version = wheel.name.split("-")[1]
    named = f"litellm {version}"
    found: dict[tuple[str, str], PriceLine] = {}
    for line in lines_of(rows, named=named, day=day):
        if line.key not in found or (found[line.key].retired and not line.retired):
            found[line.key] = line
    head = {"source": named, "as_of": day.isoformat(), "url": _URL, "licence": _LICENCE}
    text = json.dumps(head, indent=1)[:-2]
    lines = ",\n".join(json.dumps(_data(found[key])) for key in sorted(found))
    return f'{text},\n "lines": [\n{lines}\n]}}\n'


def _data(line: PriceLine) -> dict[str, Any]:
    data: dict[str, Any] = {"provider": line.provider, "model_id": line.model_id}
    if line.retired:
        data["retired"] = line.retired.isoformat()
    for period in line.periods:
        data["schedule"] = schedule_data(period.schedule)
        if period.until:
            data["until"] = period.until.isoformat()
    if line.context_tokens:
        data["context_tokens"] = line.context_tokens
    if line.url:
        data["url"] = line.url
    return data


if __name__ == "__main__":
    Path(sys.argv[3]).write_text(
        extract(Path(sys.argv[1]), date.fromisoformat(sys.argv[2])), encoding="utf-8"
    )
