"""What API tokens cost: rows of the price lists, the table of main models, histories, and single calls."""

from datetime import UTC, date, datetime
from pathlib import Path

from planner.errors import PriceError
from planner.prices.api import api_prices, one_price, reference_prices
from planner.prices.book import Key, PriceBook, default_book
from planner.prices.call import CallPrice, CallTokens, call_price
from planner.prices.history import PriceHistory, price_steps
from planner.prices.main_table import MainModel, TableQuery, main_models
from planner.prices.names import is_same
from planner.prices.price import ApiPrice
from planner.prices.tariff import Processing


def prices(
    query: str | None = None,
    *,
    provider: str | None = None,
    at: datetime | None = None,
    price_file: Path | None = None,
) -> tuple[ApiPrice, ...]:
    """API prices that match, or the reference models that a self-hosted one is compared with."""
    book = default_book(price_file)
    if query is None and provider is None:
        return reference_prices(at=at, book=book)
    return api_prices(query, provider, at=at, book=book)


def price_table(query: TableQuery, *, day: date, price_file: Path | None = None) -> tuple[MainModel, ...]:
    """The main closed and open models, with the prices of a day."""
    return main_models(default_book(price_file), day, query)


def price_history(
    model: str, *, provider: str | None = None, price_file: Path | None = None
) -> tuple[PriceHistory, ...]:
    """How the price of a model went, at one provider or at each that sells it or did."""
    book = default_book(price_file)
    keys = _keys_of(model, provider, book)
    found = [_history(book, key) for key in keys]
    return tuple(sorted(found, key=lambda history: (history.provider, history.model_id)))


def price_of_call(
    provider: str,
    model: str,
    tokens: CallTokens,
    *,
    at: datetime | None = None,
    processing: Processing = "standard",
    price_file: Path | None = None,
) -> tuple[ApiPrice, CallPrice]:
    """The price that holds at a moment, and what one call costs by it."""
    moment = at or datetime.now(tz=UTC)
    price = one_price(provider, model, at=moment, book=default_book(price_file))
    return price, call_price(price, tokens, moment, processing)


def _keys_of(model: str, provider: str | None, book: PriceBook) -> list[Key]:
    host = None if provider is None else provider.strip().casefold()
    found = [
        key
        for key, lines in book.by_model().items()
        if (host is None or key[0] == host)
        and (
            key[1] == model.strip().casefold()
            or any(is_same(model, of) for line in lines for of in (line.model_id, line.model_name))
        )
    ]
    if not found:
        api_prices(model, provider, book=book)  # says what is near; a part of a name finds prices, no history
        raise PriceError(f"{model[:120]!r} is no whole name of a model; planner price {model[:120]!r} lists what it may mean")  # fmt: skip
    return found


def _history(book: PriceBook, key: Key) -> PriceHistory:
    line = book.by_model()[key][0]
    return PriceHistory(
        provider=line.provider,
        model_id=line.model_id,
        model_name=line.model_name,
        steps=price_steps(book, key),
    )
