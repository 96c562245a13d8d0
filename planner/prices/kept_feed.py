"""The last good price list that was fetched, in the user's own folder."""

import json
import os
import tempfile
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Final

from planner.errors import PriceError
from planner.prices import genai_list
from planner.prices.feed import Feed, feed_of
from planner.prices.line import PriceLine
from profiles.loader import MAX_FILE_BYTES, read_text, user_folder

_NAME: Final = "fetched_prices.json"
_KIND: Final = "planner-price-list"
_SCHEMA_VERSION: Final = 1


def path() -> Path:
    """Where the list is kept; it need not exist."""
    return user_folder() / _NAME


def kept() -> Feed | None:
    """The kept list, or None; PriceError when the file is not one."""
    return _read(path())


def list_in_use() -> tuple[PriceLine, ...]:
    """What was fetched last, or what came with the package if that was checked later."""
    fetched, packaged = kept(), genai_list.packaged_lines()
    if fetched is None or (fetched.data_date or fetched.fetched) < (packaged[0].data_date or date.min):
        return packaged
    return fetched.lines


def keep(feed: Feed) -> Path:
    """Puts a list in the place of the kept one, whole or not at all."""
    content: dict[str, Any] = {
        "kind": _KIND,
        "schema_version": _SCHEMA_VERSION,
        "url": feed.url,
        "fetched": feed.fetched.isoformat(),
        "providers": list(feed.content),
    }
    text = json.dumps(content, separators=(",", ":"))
    if len(text) > MAX_FILE_BYTES:
        raise PriceError(f"the list has {len(text):,} characters; at most {MAX_FILE_BYTES:,} are kept")
    target = path()
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{_NAME}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _read.cache_clear()
    return target


@cache
def _read(file: Path) -> Feed | None:
    if not file.is_file():
        return None
    try:
        content = json.loads(read_text(file))
        if content["kind"] != _KIND or content["schema_version"] != _SCHEMA_VERSION:
            raise ValueError("another kind of file")
        return feed_of(
            content["providers"], url=content["url"], fetched=date.fromisoformat(content["fetched"])
        )
    except (ValueError, TypeError, KeyError, RecursionError, PriceError) as error:
        raise PriceError(
            f"{file} is not a price list that was fetched; remove it, or run planner price update"
        ) from error
