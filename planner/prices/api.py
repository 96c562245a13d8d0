"""What calls of an API cost, from the price list of the genai-prices package.

The package is imported on first use, inside `planner.prices.price_list` (it takes about half a second). Its rows are
shown with their catches: tiers by prompt size, prices by time of day, batch rates, deprecation. What one call costs
is computed by the package itself.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime

from planner.errors import PriceError
from planner.prices import names, price_list
from planner.prices.price_list import ApiPrice, CallPrice
from profiles.loader import reference_api_rows

__all__ = ["ApiPrice", "CallPrice", "api_prices", "price_call", "reference_prices", "same_model_prices",
           "vanished_references"]  # fmt: skip

_MAX_QUERY_CHARS = 200


def api_prices(
    query: str | None = None, provider: str | None = None, *, at: datetime | None = None
) -> tuple[ApiPrice, ...]:
    """Prices of API models, cheapest first; of one model under all its names, at one provider, or all.

    A query is a model's name or hub id ("Llama-3.3-70B", "openai/gpt-oss-120b"). Models that mean the same as the
    query are given alone when there are any; else those whose name contains it. Rows without both an input and an
    output price per token (embeddings, speech, images, free previews) are left out.
    """
    prices: Sequence[ApiPrice] = price_list.all_prices(_day(at))
    if provider is not None:
        known = sorted({price.provider for price in prices})
        prices = [price for price in prices if price.provider == provider.strip().casefold()]
        if not prices:
            raise PriceError(
                _unknown("provider", provider, names.nearest(provider, known), " ".join(known[:3]))
            )
    if query is not None:
        prices = _matching(query, prices)
    return tuple(sorted(prices, key=_cheapest))


def price_call(
    provider: str,
    model_id: str,
    *,
    input_tokens: int,
    output_tokens: int,
    cached_tokens: int = 0,
    at: datetime | None = None,
) -> CallPrice:
    """What one call costs. `input_tokens` is the whole prompt; `cached_tokens` of it are read from the cache."""
    if min(input_tokens, output_tokens, cached_tokens) < 0:
        raise PriceError(f"a call cannot have {min(input_tokens, output_tokens, cached_tokens):,} tokens")
    if cached_tokens > input_tokens:
        raise PriceError(
            f"{cached_tokens:,} cached tokens of a prompt of {input_tokens:,}: input_tokens counts the whole prompt"
        )
    moment = at or datetime.now(tz=UTC)
    found = price_list.find(provider.strip().casefold(), model_id.strip())
    if found is None:
        offered = [price.model_id for price in price_list.all_prices(_day(at)) if price.provider == provider]
        near = names.nearest(model_id, offered)
        raise PriceError(_unknown(f"model at {provider}", model_id, near, "planner prices"))
    call = price_list.calculate(*found, input_tokens, cached_tokens, output_tokens, moment)
    if call.model_id.casefold() != model_id.strip().casefold():
        call = call.with_note(
            f"the list has no {model_id.strip()[:120]!r} and prices it as {call.model_id!r}"
        )
    return call


def reference_prices(*, at: datetime | None = None) -> tuple[ApiPrice, ...]:
    """A small set to hold a local workload against: of each group in `reference_apis.csv`, the cheapest model.

    Cheapest by `ApiPrice.mixed_usd_per_mtok`; a row that is free, deprecated or no longer in the price list cannot
    be chosen (see `vanished_references`). Its group and the number of rows compared are in the note.
    """
    listed = {(price.provider, price.model_id): price for price in price_list.all_prices(_day(at))}
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


def same_model_prices(name: str, *, most: int = 5, at: datetime | None = None) -> tuple[ApiPrice, ...]:
    """What hosts charge for this very model, the cheapest `most` of them; empty when nobody sells it."""
    found = [
        price
        for price in price_list.all_prices(_day(at))
        if not price.is_free
        and not price.is_deprecated
        and any(names.is_same(name, spelling) for spelling in (price.model_id, price.model_name))
    ]
    return tuple(sorted(found, key=_cheapest)[:most])


def vanished_references(*, at: datetime | None = None) -> tuple[str, ...]:
    """The rows of `reference_apis.csv` that cannot be compared any more, each with the reason."""
    listed = {(price.provider, price.model_id): price for price in price_list.all_prices(_day(at))}
    gone = []
    for row in reference_api_rows():
        price = listed.get((row["provider"] or "", row["model_id"] or ""))
        if price is None:
            gone.append(
                f"{row['provider']} {row['model_id']}: no longer in {price_list.source()} with token prices"
            )
        elif price.is_free:
            gone.append(f"{row['provider']} {row['model_id']}: a price of 0 is not compared")
        elif price.is_deprecated:
            gone.append(f"{row['provider']} {row['model_id']}: deprecated by its provider")
    return tuple(gone)


def _day(at: datetime | None) -> date:
    moment = at or datetime.now(tz=UTC)
    return moment.date() if moment.tzinfo is None else moment.astimezone(UTC).date()


def _matching(query: str, prices: Sequence[ApiPrice]) -> list[ApiPrice]:
    if len(query) > _MAX_QUERY_CHARS:
        raise PriceError(
            f"no API price for a name of {len(query):,} characters; names have at most {_MAX_QUERY_CHARS}"
        )
    same = [p for p in prices if names.is_same(query, p.model_id) or names.is_same(query, p.model_name)]
    found = same or [
        p for p in prices if names.is_within(query, p.model_id) or names.is_within(query, p.model_name)
    ]
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
    return f"no {what} {asked[:120]!r} in {price_list.source()}; {hint}"
