"""The main models, closed and open, with price, context, score, licence and modality, as of a day."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, get_args

from planner.errors import PriceError
from planner.prices.api import ROUTERS, one_line, same_model_prices
from planner.prices.benchmark_score import Score, benchmark_score
from planner.prices.book import PriceBook
from planner.prices.price import ApiPrice
from profiles.loader import main_model_rows, model_entry, model_feature_rows
from profiles.schema import Row

SortKey = Literal["price", "input", "output", "cached", "context", "score", "name"]
SORT_KEYS: Final[tuple[SortKey, ...]] = get_args(SortKey)
CLOSED: Final = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class MainModel:
    """A row of the table. `price` is the cheapest of `hosts`; None when none is known for the day."""

    name: str
    kind: str  # closed | open
    price: ApiPrice | None
    hosts: tuple[ApiPrice, ...]  # cheapest first
    why_unknown: str
    context_tokens: int | None
    modalities: tuple[str, ...]
    licence: str | None  # "closed" for weights that nobody can have
    score: Score | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TableQuery:
    """Which rows to show, in which order."""

    kind: str | None = None
    text: str = ""
    licence: str | None = None  # a pattern
    modality: str | None = None
    min_context_tokens: int | None = None
    max_usd_per_mtok: float | None = None  # of three input tokens for each output token
    min_score: float | None = None
    with_unknown: bool = False  # rows without a price for the day too
    sort: SortKey = "price"
    reverse: bool = False


def main_models(book: PriceBook, day: date, query: TableQuery) -> tuple[MainModel, ...]:
    """The rows that match, in order; what is unknown comes last whatever the order."""
    rows = [_main_model(row, book, day) for row in main_model_rows()]
    found = [row for row in rows if _matches(row, query)]
    known = [row for row in found if _order(row, query.sort) is not None]
    known.sort(key=lambda row: (_order(row, query.sort), row.name), reverse=query.reverse)
    return (*known, *(row for row in found if _order(row, query.sort) is None))


def _main_model(row: Row, book: PriceBook, day: date) -> MainModel:
    if row["kind"] == CLOSED:
        return _closed(row, book, day)
    entry: Mapping[str, Any] = model_entry(row["catalogue_id"] or "")
    at = datetime.combine(day, time(), tzinfo=UTC)
    spellings = tuple(dict.fromkeys((entry["hub_id"] or entry["name"], entry["name"])))
    sold = {
        (price.provider, price.model_id): price
        for spelling in spellings
        for price in same_model_prices(spelling, most=None, at=at, book=book)
        if price.provider not in ROUTERS
    }
    if row["provider"] is not None and row["model_id"] is not None:  # sold under a name of its own
        own = book.known_on((row["provider"], row["model_id"].casefold()), day)
        if own is not None and not own.is_deprecated:
            sold[own.provider, own.model_id] = own
    hosts = tuple(sorted(sold.values(), key=lambda price: (price.mixed_usd_per_mtok, price.provider)))
    return MainModel(
        name=entry["name"],
        kind="open",
        price=hosts[0] if hosts else None,
        hosts=hosts,
        why_unknown="" if hosts else f"no host with a price known for {day}",
        context_tokens=entry["context_tokens"],
        modalities=tuple(entry["modalities"]),
        licence=entry["licence"],
        score=benchmark_score(spellings, day),
    )


def _closed(row: Row, book: PriceBook, day: date) -> MainModel:
    provider, model_id = row["provider"] or "", row["model_id"] or ""
    price, why = None, ""
    try:
        price = book.price_on(one_line(provider, model_id, book=book)[0].key, day)
    except PriceError as error:
        why = str(error)
    if price is not None and price.is_deprecated:
        why = f"{model_id} at {provider}: {_said_of_its_end(price)}"
        price = None
    return MainModel(
        name=row["name"] or model_id,
        kind=CLOSED,
        price=price,
        hosts=() if price is None else (price,),
        why_unknown=why,
        context_tokens=None if price is None else price.context_tokens,
        modalities=_modalities(row),
        licence=CLOSED,
        score=benchmark_score((model_id,), day),
    )


def _said_of_its_end(price: ApiPrice) -> str:
    parts = [part for part in price.note.split("; ") if part.startswith(("withdrawn", "deprecated"))]
    return "; ".join(parts)


def _modalities(row: Row) -> tuple[str, ...]:
    """What a closed model takes, from the features where they tell, else from its own row."""
    sold = (row["provider"], row["model_id"])
    features = (other for other in model_feature_rows() if (other["provider"], other["model_id"]) == sold)
    text = next((other["modalities"] for other in features if other["modalities"]), row["modalities"])
    return tuple(part.strip() for part in (text or "").split(";") if part.strip())


def _matches(row: MainModel, query: TableQuery) -> bool:
    price = row.price
    return (
        (query.kind is None or row.kind == query.kind)
        and (price is not None or query.with_unknown)
        and all(word in row.name.casefold() for word in query.text.casefold().split())
        and (query.licence is None or fnmatchcase((row.licence or "").casefold(), query.licence.casefold()))
        and (query.modality is None or query.modality.casefold() in row.modalities)
        and (query.min_context_tokens is None or (row.context_tokens or 0) >= query.min_context_tokens)
        and (
            query.max_usd_per_mtok is None
            or (price is not None and price.mixed_usd_per_mtok <= query.max_usd_per_mtok)
        )
        and (query.min_score is None or (row.score is not None and row.score.score >= query.min_score))
    )


def _order(row: MainModel, key: SortKey) -> Any:
    """What a row is sorted by; None when it is unknown. Scores of an older release come after those of a newer one."""
    price = row.price
    if key == "name":
        return row.name.casefold()
    if key == "context":
        return row.context_tokens
    if key == "score":
        return None if row.score is None else (_descending(row.score.release), -row.score.score)
    if price is None:
        return None
    return {
        "price": price.mixed_usd_per_mtok,
        "input": price.input_usd_per_mtok,
        "output": price.output_usd_per_mtok,
        "cached": price.cached_input_usd_per_mtok,
    }[key]


def _descending(release: str) -> tuple[int, ...]:
    return tuple(-ord(letter) for letter in release)
