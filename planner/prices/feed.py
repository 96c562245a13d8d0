"""A price list that came over the network: read as data only, and held against the last good one before it counts.

The format is genai-prices' own (`prices/new_data/v2/data.json` of its repository, MIT). Nothing of it is executed: its
patterns for model names are dropped, prices are decimals.
"""

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from planner.errors import PriceError
from planner.prices import genai_list
from planner.prices.line import PriceLine
from planner.quoting import quoted

URL = "https://raw.githubusercontent.com/pydantic/genai-prices/refs/heads/main/prices/new_data/v2/data.json"
LEAST_SHARE = 0.5  # of the last good list's prices, which a new one has at least
LARGEST_FACTOR = 30.0  # by which the price of one model may move between two lists
LARGEST_SHIFT = 2.0  # by which the middle price of all may move: more is another unit
PLAUSIBLE_USD_PER_MTOK = (0.0005, 5_000.0)  # listed ones lie between 0.001 and 600
_NAMED = 3

_PROVIDER_FIELDS = ("id", "name", "api_pattern", "pricing_urls", "price_comments")
_MODEL_FIELDS = ("id", "name", "context_window", "price_comments", "deprecated", "prices", "price_variants")


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A price list, where it came from, and when."""

    url: str
    fetched: date
    lines: tuple[PriceLine, ...]
    content: tuple[dict[str, Any], ...]  # as it is kept: the fields that are read

    @property
    def data_date(self) -> date | None:
        """The newest day on which the list says that a price was checked."""
        return self.lines[0].data_date


def parse_feed(data: bytes, *, url: str, fetched: date) -> Feed:
    """The list in a reply; PriceError saying what it is instead, when it is none."""
    if not data.strip():
        raise PriceError(f"{quoted(url)} sent an empty reply")
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise PriceError(
            f"{quoted(url)} sent no JSON but {quoted(data[:40].decode(errors='replace'))}"
        ) from error
    if not isinstance(raw, list) or not all(isinstance(provider, dict) for provider in raw):
        raise PriceError(f"{quoted(url)} sent JSON of another shape than a list of providers")
    return feed_of(tuple(_needed(provider) for provider in raw), url=url, fetched=fetched)


def feed_of(content: Sequence[dict[str, Any]], *, url: str, fetched: date) -> Feed:
    """A list from the fields that are kept of it."""
    named = f"genai-prices list fetched {fetched}"
    try:
        lines = genai_list.lines_of_raw(list(content), named, fetched)
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PriceError(f"{quoted(url)} sent prices that cannot be read: {quoted(first[:160])}") from error
    if not lines:
        raise PriceError(f"{quoted(url)} sent a list without any price per token")
    return Feed(url=url, fetched=fetched, lines=lines, content=tuple(content))


def check_feed(feed: Feed, last: Sequence[PriceLine], *, accept_changes: bool = False) -> None:
    """PriceError, naming the rows, for a list that cannot be right beside the last good one.

    `accept_changes` lets single prices move by any factor; never a list that is stale, cut short, or in another unit.
    """
    before = {line.key: line for line in last}
    newest = max((line.data_date for line in last if line.data_date is not None), default=None)
    if newest is not None and feed.data_date is not None and feed.data_date < newest:
        raise _refused(
            feed, f"its newest check is of {feed.data_date}, the kept list's of {newest}: it is late"
        )
    if len(feed.lines) < LEAST_SHARE * len(before):
        raise _refused(
            feed, f"it has {len(feed.lines):,} prices, the kept list {len(before):,}: it is cut short"
        )
    moved = [(line, ratio) for line in feed.lines for ratio in _ratios(line, before.get(line.key))]
    middle = statistics.median(ratio for _, ratio in moved) if moved else 1.0
    if not 1 / LARGEST_SHIFT <= middle <= LARGEST_SHIFT:
        raise _refused(feed, f"its prices are {middle:,.3g} times those of the kept list: another unit")
    absurd = [
        f"{_name(line)} at {_worst(line):g} USD per million" for line in feed.lines if not _is_plausible(line)
    ]
    if absurd:
        raise _refused(feed, f"prices that no token has: {_some(absurd)}")
    jumped = {
        _name(line): f"{_name(line)} ×{ratio:,.3g}"
        for line, ratio in moved
        if not 1 / LARGEST_FACTOR <= ratio <= LARGEST_FACTOR
    }
    if jumped and not accept_changes:
        raise _refused(
            feed,
            f"prices moved by more than a factor of {LARGEST_FACTOR:g}: {_some(list(jumped.values()))}; "
            "look at the provider's page, then planner price update --accept-changes",
        )


def _needed(provider: dict[str, Any]) -> dict[str, Any]:
    models = provider.get("models")
    return {
        **{name: provider[name] for name in _PROVIDER_FIELDS if name in provider},
        "models": [
            {
                **{name: model[name] for name in _MODEL_FIELDS if name in model},
                "match": {"equals": model.get("id")},
            }
            for model in (models if isinstance(models, list) else [])
            if isinstance(model, dict)
        ],
    }


def _prices(line: PriceLine) -> tuple[float, float]:
    rates = line.periods[-1].schedule.usual.rates
    return rates.input_usd_per_mtok, rates.output_usd_per_mtok


def _ratios(line: PriceLine, earlier: PriceLine | None) -> Iterator[float]:
    """New over old price of input and output; a price of 0, an offer, is compared with nothing."""
    if earlier is None:
        return
    for new, old in zip(_prices(line), _prices(earlier), strict=True):
        if new > 0 and old > 0:
            yield new / old


def _is_plausible(line: PriceLine) -> bool:
    low, high = PLAUSIBLE_USD_PER_MTOK
    return all(price == 0 or low <= price <= high for price in _prices(line))


def _worst(line: PriceLine) -> float:
    low, high = PLAUSIBLE_USD_PER_MTOK
    return next(price for price in _prices(line) if price != 0 and not low <= price <= high)


def _name(line: PriceLine) -> str:
    return quoted(f"{line.provider} {line.model_id}")


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _NAMED:,} more" if len(texts) > _NAMED else ""
    return ", ".join(texts[:_NAMED]) + more


def _refused(feed: Feed, why: str) -> PriceError:
    return PriceError(f"the list of {quoted(feed.url)} is not taken: {why}; the kept one stays in use")
