"""All price sources together: whose price counts, on which day, and where they differ.

From the strongest: the user's own files, the list of genai-prices (as it came, or as `planner price update` fetched
it), the extract for hosts it lacks, and the packaged prices of the past for the days before all of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Protocol

from planner.errors import PriceError
from planner.prices import kept_feed
from planner.prices.agreement import settled
from planner.prices.hosted_list import hosted_lines
from planner.prices.line import PriceLine
from planner.prices.price import ApiPrice
from planner.prices.price_rows import lines_of
from profiles.loader import historic_price_rows, user_folder
from profiles.price_files import own_price_files, read_price_file

Key = tuple[str, str]  # provider, model id in lower case


class PriceSource(Protocol):
    """Somewhere that prices come from."""

    def lines(self) -> Sequence[PriceLine]:
        """Every price that it knows, each with its history."""


@dataclass(frozen=True, slots=True)
class ReadWhenAsked:
    """A source that is read on first use."""

    read: Callable[[], Sequence[PriceLine]]

    def lines(self) -> Sequence[PriceLine]:
        """Every price that it knows."""
        return self.read()


@dataclass(frozen=True, slots=True, eq=False)
class PriceBook:
    """Price sources, the strongest first. What they hold is read once for each book."""

    sources: tuple[PriceSource, ...]

    def by_model(self) -> Mapping[Key, tuple[PriceLine, ...]]:
        """Every model at every provider, with its line in each source that has one."""
        return _by_model(self)

    def prices_on(self, day: date) -> tuple[ApiPrice, ...]:
        """Every price that is known for a day, the sources' differences settled."""
        return _prices_on(self, day)

    def known_on(self, key: Key, day: date) -> ApiPrice | None:
        """The price of one model at one provider on a day, or None."""
        return _price(self.by_model().get(key, ()), day)

    def price_on(self, key: Key, day: date) -> ApiPrice:
        """The price of one model at one provider on a day; PriceError, with the first known day, when it is unknown."""
        price = self.known_on(key, day)
        if price is None:
            raise PriceError(_why_unknown(self.by_model()[key], day))
        return price


def default_book(price_file: Path | None = None) -> PriceBook:
    """What is packaged, fetched and kept in the user's own folder, below a file of prices where one is given."""
    return _book(price_file, user_folder())


def forget_prices() -> None:
    """To be called after a price list has changed: the next question reads them again."""
    _book.cache_clear()


@cache
def _book(price_file: Path | None, _folder: Path) -> PriceBook:
    own = (price_file,) if price_file is not None else ()
    sources = [
        *(ReadWhenAsked(_reader(path)) for path in (*own, *own_price_files())),
        ReadWhenAsked(kept_feed.list_in_use),
        ReadWhenAsked(hosted_lines),
        ReadWhenAsked(_of_the_past),
    ]
    return PriceBook(tuple(sources))


def _reader(path: Path) -> Callable[[], Sequence[PriceLine]]:
    def read() -> Sequence[PriceLine]:
        return lines_of(read_price_file(path), named=f"your {path.name}", today=_written_on(path))

    return read


def _written_on(path: Path) -> date:
    return datetime.fromtimestamp(path.stat().st_mtime, tz=UTC).date()


def _of_the_past() -> Sequence[PriceLine]:
    rows = historic_price_rows()
    return lines_of(rows, named="historic_prices.csv", today=date.max)


@cache
def _by_model(book: PriceBook) -> Mapping[Key, tuple[PriceLine, ...]]:
    found: dict[Key, tuple[PriceLine, ...]] = {}
    for source in book.sources:
        for line in source.lines():
            found[line.key] = (*found.get(line.key, ()), line)
    return {key: lines for key, lines in found.items() if any(line.periods for line in lines)}


@cache
def _prices_on(book: PriceBook, day: date) -> tuple[ApiPrice, ...]:
    found = (_price(lines, day) for lines in book.by_model().values())
    return tuple(price for price in found if price is not None)


def _price(lines: Sequence[PriceLine], day: date) -> ApiPrice | None:
    if _withdrawn(lines, day) is not None:
        return None
    return settled(lines, day)


def _withdrawn(lines: Sequence[PriceLine], day: date) -> PriceLine | None:
    return next((line for line in lines if line.withdrawn is not None and line.withdrawn <= day), None)


def _why_unknown(lines: Sequence[PriceLine], day: date) -> str:
    lines = [line for line in lines if line.periods]
    named = f"{lines[0].model_id} at {lines[0].provider}"
    gone = _withdrawn(lines, day)
    if gone is not None:
        return f"{named}: not sold any more since {gone.withdrawn} ({gone.source}); asked for {day}"
    later = [line for line in lines if line.known_from > day]
    nearest = min(later, key=lambda line: line.known_from) if later else lines[0]
    earlier = [line for line in lines if line.known_from <= day]
    if earlier and later:
        ended = earlier[0].why_unknown(day)
        return f"{named}: {ended}; the next known price is of {nearest.known_from} ({nearest.source})"
    return f"{named}: {nearest.why_unknown(day)}"
