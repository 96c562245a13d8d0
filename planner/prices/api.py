"""Which API prices there are: of one model under all its names, at one provider, or the reference set.

The price list is read on first use, inside `planner.prices.genai_list` (it takes about half a second). What one call
costs is `planner.prices.call`'s to say.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime

from planner.errors import PriceError
from planner.prices import genai_list, names
from planner.prices.book import Key, PriceBook, default_book
from planner.prices.line import PriceLine
from planner.prices.price import ApiPrice
from profiles.loader import reference_api_rows

__all__ = [
    "ApiPrice",
    "api_prices",
    "one_line",
    "one_price",
    "reference_prices",
    "same_model_prices",
    "vanished_references",
]

# A routed price changes with the host that answers: no host of its own.
ROUTERS = ("openrouter",)
_MAX_QUERY_CHARS = 200


def api_prices(
    query: str | None = None,
    provider: str | None = None,
    *,
    at: datetime | None = None,
    book: PriceBook | None = None,
) -> tuple[ApiPrice, ...]:
    """Prices of API models, cheapest first; of one model under all its names, at one provider, or all.

    A query is a model's name or hub id ("Llama-3.3-70B", "openai/gpt-oss-120b"). Models that mean the same as the
    query are given alone when there are any; else those whose name contains it. Rows without both an input and an
    output price per token (embeddings, speech, images, free previews) are left out.
    """
    book, day = book or default_book(), _day(at)
    prices: Sequence[ApiPrice] = book.prices_on(day)
    if provider is not None:
        known = sorted({lines[0].provider for lines in book.by_model().values()})
        prices = [price for price in prices if price.provider == provider.strip().casefold()]
        if provider.strip().casefold() not in known:
            raise PriceError(
                _unknown("provider", provider, names.nearest(provider, known), " ".join(known[:3]))
            )
    if query is not None:
        prices = _matching(query, prices, _lines_at(provider, book), day)
    return tuple(sorted(prices, key=_cheapest))


def one_price(
    provider: str, model_id: str, *, at: datetime | None = None, book: PriceBook | None = None
) -> ApiPrice:
    """The price of one model at one provider on a day, by its id or another spelling of it.

    PriceError, with the first day that is known, when the day is before it.
    """
    book = book or default_book()
    lines = one_line(provider, model_id, book=book)
    price = book.known_on(lines[0].key, _day(at)) or book.price_on(
        _sold_now_as(provider, model_id, lines, book), _day(at)
    )
    if price.model_id.casefold() != model_id.strip().casefold():
        price = price.with_note(f"the list has no {model_id.strip()[:120]!r}; this is {price.model_id!r}")
    return price


def one_line(provider: str, model_id: str, *, book: PriceBook | None = None) -> tuple[PriceLine, ...]:
    """The history of one model's price at one provider, in each source that has one."""
    book = book or default_book()
    host, wanted = provider.strip().casefold(), model_id.strip()
    by_model = book.by_model()
    exact = by_model.get((host, wanted.casefold()))
    if exact is not None:
        return exact
    there = {key: lines for key, lines in by_model.items() if key[0] == host}
    listed = genai_list.listed_id(host, wanted)
    if listed is not None and (host, listed.casefold()) in there:
        return there[host, listed.casefold()]
    found = [lines for lines in there.values() if _is_named(wanted, lines)]
    if not found:
        near = names.nearest(wanted, [lines[0].model_id for lines in there.values()])
        raise PriceError(_unknown(f"model at {provider}", wanted, near, "planner price"))
    if len(found) > 1:
        ids = ", ".join(lines[0].model_id for lines in found[:5])
        raise PriceError(f"{wanted[:120]!r} may mean several models at {host}: {ids}; give one of these")
    return found[0]


def _sold_now_as(provider: str, model_id: str, lines: Sequence[PriceLine], book: PriceBook) -> Key:
    """The id under which the package prices a name that a list had of its own once; else the name's own."""
    listed = genai_list.listed_id(provider.strip().casefold(), model_id.strip())
    key = (lines[0].provider, "" if listed is None else listed.casefold())
    return key if key in book.by_model() else lines[0].key


def reference_prices(*, at: datetime | None = None, book: PriceBook | None = None) -> tuple[ApiPrice, ...]:
    """A small set to hold a local workload against: of each group in `reference_apis.csv`, the cheapest model.

    Cheapest by `ApiPrice.mixed_usd_per_mtok`; a row that is free, deprecated or no longer in the price list cannot
    be chosen (see `vanished_references`). Its group and the number of rows compared are in the note.
    """
    listed = {
        (price.provider, price.model_id): price for price in (book or default_book()).prices_on(_day(at))
    }
    groups: dict[str, list[ApiPrice]] = {}
    for row in reference_api_rows():
        price = listed.get((row["provider"] or "", row["model_id"] or ""))
        if price is not None and not price.is_free and not price.is_deprecated:
            groups.setdefault(row["group"] or "", []).append(price)
    chosen = []
    for group, prices in groups.items():
        cheapest = min(prices, key=_cheapest)
        chosen.append(cheapest.with_note(f"cheapest of {len(prices)} listed under {group!r}"))
    return tuple(sorted(chosen, key=_cheapest))


def same_model_prices(
    name: str, *, most: int | None = 5, at: datetime | None = None, book: PriceBook | None = None
) -> tuple[ApiPrice, ...]:
    """What hosts charge for this very model, the cheapest `most` of them; empty when nobody sells it."""
    found = [
        price
        for price in (book or default_book()).prices_on(_day(at))
        if not price.is_free
        and not price.is_deprecated
        and any(names.is_same(name, spelling) for spelling in (price.model_id, price.model_name))
    ]
    return tuple(sorted(found, key=_cheapest)[:most])


def vanished_references(*, at: datetime | None = None, book: PriceBook | None = None) -> tuple[str, ...]:
    """The rows of `reference_apis.csv` that cannot be compared any more, each with the reason."""
    listed = {
        (price.provider, price.model_id): price for price in (book or default_book()).prices_on(_day(at))
    }
    gone = []
    for row in reference_api_rows():
        price = listed.get((row["provider"] or "", row["model_id"] or ""))
        if price is None:
            gone.append(
                f"{row['provider']} {row['model_id']}: no longer in {genai_list.source()} with token prices"
            )
        elif price.is_free:
            gone.append(f"{row['provider']} {row['model_id']}: a price of 0 is not compared")
        elif price.is_deprecated:
            gone.append(f"{row['provider']} {row['model_id']}: deprecated by its provider")
    return tuple(gone)


def _lines_at(provider: str | None, book: PriceBook) -> list[tuple[PriceLine, ...]]:
    host = None if provider is None else provider.strip().casefold()
    return [lines for key, lines in book.by_model().items() if host is None or key[0] == host]


def _is_named(wanted: str, lines: Sequence[PriceLine]) -> bool:
    return any(names.is_same(wanted, of) for line in lines for of in (line.model_id, line.model_name))


def _day(at: datetime | None) -> date:
    moment = at or datetime.now(tz=UTC)
    return moment.date() if moment.tzinfo is None else moment.astimezone(UTC).date()


def _matching(
    query: str, prices: Sequence[ApiPrice], lines: Sequence[Sequence[PriceLine]], day: date
) -> list[ApiPrice]:
    if len(query) > _MAX_QUERY_CHARS:
        raise PriceError(
            f"no API price for a name of {len(query):,} characters; names have at most {_MAX_QUERY_CHARS}"
        )
    same = [p for p in prices if names.is_same(query, p.model_id) or names.is_same(query, p.model_name)]
    # A model that is listed, although not for this day, is meant; not another one whose name holds the words.
    listed = [of_model for of_model in lines if _is_named(query, of_model)]
    found = same or [
        p
        for p in prices
        if not listed and (names.is_within(query, p.model_id) or names.is_within(query, p.model_name))
    ]
    if not found and listed:
        first = min(
            (line for of_model in listed for line in of_model if line.periods),
            key=lambda line: line.known_from,
        )
        raise PriceError(f"{first.model_id} at {first.provider}: {first.why_unknown(day)}")
    if not found:
        near = names.nearest(query, [price.model_id for price in prices])
        raise PriceError(
            _unknown("API price for", query, near, "a shorter part of the name, or another provider")
        )
    return found


def _cheapest(price: ApiPrice) -> tuple[float, str, str]:
    return (price.mixed_usd_per_mtok, price.provider, price.model_id)


def _unknown(what: str, asked: str, near: Sequence[str], otherwise: str) -> str:
    hint = f"did you mean {' or '.join(near)}?" if near else f"try {otherwise}"
    return f"no {what} {asked[:120]!r} in {genai_list.source()}; {hint}"
