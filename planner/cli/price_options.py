"""Options that the price commands share."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from planner.prices.currency import exchange_rate, known_currencies
from planner.report.price_amounts import Money

F = TypeVar("F", bound=Callable[..., Any])


class Moment(click.ParamType[datetime]):
    """A day or a moment, in UTC when it names no zone; a day means its noon."""

    name = "DATE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The moment, or a usage error that shows how to write one."""
        if isinstance(value, datetime):
            return value
        text = str(value).strip()
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{text[:40]!r} is no date; write 2026-11-21 or 2026-11-21T02:00", param, ctx)
        if len(text) == len("2026-11-21"):
            moment = moment.replace(hour=12)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def at_option(command: F) -> F:
    """--at, the day whose prices are shown."""
    return click.option(
        "--at", "at", type=Moment(), default=None, metavar="DATE",
        help="Prices of this day, such as 2025-06-01; today's when left out.",
    )(command)  # fmt: skip


def price_file_option(command: F) -> F:
    """--price-file, a person's own prices."""
    return click.option(
        "--price-file", type=click.Path(dir_okay=False, path_type=Path), default=None,
        help="Your own prices, CSV or JSON, above all lists (docs/prices.md).",
    )(command)  # fmt: skip


def currency_option(command: F) -> F:
    """--currency, what amounts are shown in."""
    return click.option(
        "--currency", default="USD", show_default=True, metavar="CODE",
        help=f"Show amounts in this currency: {', '.join(known_currencies())}.",
    )(command)  # fmt: skip


def money_of(currency: str, day: date) -> Money:
    """How amounts are shown in a currency, at the rate of a day."""
    return Money(exchange_rate(currency, day))


def day_of(at: datetime | None) -> date:
    """The day of a moment; today when there is none."""
    return (at or datetime.now(tz=UTC)).date()
