"""The numbers that a cost rests on, each with its bounds, basis, source and date, and how to replace them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from difflib import get_close_matches
from typing import Any

from hardware.spec import Basis
from planner.errors import PriceError
from planner.prices.currency import USD, exchange_rate
from profiles.loader import assumptions

_MAX_VALUE = 1e15
_NUMBER = r"-?\d{1,15}(?:\.\d{1,15})?(?:[eE][+-]?\d{1,2})?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number: what it is, between which bounds it lies four times in five, and from where it comes.

    `value` may be an array where a formula is worked out for many cases at once; the bounds are plain numbers.
    """

    name: str
    value: float
    unit: str
    basis: Basis
    source: str
    as_of: str | None = None
    low: float | None = None  # None: known well enough
    high: float | None = None
    note: str = ""

    @property
    def is_uncertain(self) -> bool:
        """Whether its bounds lie apart."""
        return self.low is not None and self.high is not None and self.low < self.high


class Figures(Mapping[str, Figure]):
    """Figures by their names. A copy with other values is made by `with_values`; nothing is changed in place."""

    def __init__(self, figures: Mapping[str, Figure]):
        self._figures = dict(figures)

    def __getitem__(self, name: str) -> Figure:
        found = self._figures.get(name)
        if found is None:
            raise PriceError(f"{name} is not known; state it with --set {name}=VALUE")
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._figures

    def __iter__(self) -> Iterator[str]:
        return iter(self._figures)

    def __len__(self) -> int:
        return len(self._figures)

    def value(self, *names: str) -> Any:
        """The value of a figure, or the product of several: a number, or an array where one of them is."""
        product: Any = 1.0
        for name in names:
            product = product * self[name].value
        return product

    def with_figures(self, *figures: Figure) -> "Figures":
        """These figures with others added, which replace those of the same name."""
        return Figures({**self._figures, **{figure.name: figure for figure in figures}})

    def with_values(self, values: Mapping[str, Any]) -> "Figures":
        """The same figures with other values, for a case or for many at once."""
        return Figures(
            {**self._figures, **{name: replace(self[name], value=value) for name, value in values.items()}}
        )


def assumed_figures() -> Figures:
    """What the profiles assume of costs: `assumptions.toml`, packaged and the user's own."""
    found = {}
    for name, table in assumptions().items():
        found[name] = Figure(
            name=name,
            value=float(table["value"]),
            unit=str(table["unit"]),
            basis=Basis(table["basis"]),
            source=str(table["source"]),
            as_of=table.get("as_of"),
            low=_bound(table, "low"),
            high=_bound(table, "high"),
            note=str(table.get("note", "")),
        )
    return Figures(found)


def _bound(table: Mapping[str, Any], key: str) -> float | None:
    return None if table.get(key) is None else float(table[key])


def stated(name: str, text: str, known: Figures, units: Mapping[str, str], day: date | None = None) -> Figure:
    """A figure as a person states it: "0.2", "0.15-0.3", or "0.2 (0.15-0.3)" with its bounds; "0.2 EUR" at the rate of a day.

    `units` names figures that are not known yet and may be stated. Raises PriceError for another name, for text that is
    no number, and for a currency where none belongs or without a day.
    """
    if name not in known and name not in units:
        near = get_close_matches(name[:80], [*known, *units], n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "--explain lists the names"
        raise PriceError(f"no figure {name[:80]!r}; {hint}")
    unit = known[name].unit if name in known else units[name]
    value, low, high, currency = _read(name, text)
    rate, source = 1.0, "as stated"
    if currency is not None and currency != USD:
        if not unit.startswith(USD) or day is None:
            raise PriceError(
                f"{name}={text[:60]!r}: the figure is in {unit}, not in a currency; leave {currency} out"
            )
        found = exchange_rate(currency, day)
        rate = found.usd_per_unit
        source = f"as stated in {found.currency}, 1 of it {rate:.4f} USD on {found.as_of} ({found.source})"
    return Figure(
        name=name,
        value=value * rate,
        unit=unit,
        basis=Basis.GIVEN,
        source=source,
        low=low * rate,
        high=high * rate,
        note=known[name].note if name in known else "",
    )


_FORM = re.compile(
    r"(?:(NUM)(?:(?:\s*[-–]\s*|\.\.)(NUM))?|(NUM)\s*\((NUM)(?:\s*[-–]\s*|\.\.)(NUM)\))(?:\s*([A-Za-z]{3}))?".replace(
        "NUM", _NUMBER
    )
)


def _read(name: str, text: str) -> tuple[float, float, float, str | None]:
    """The value, its bounds and a currency; of bounds alone the value is their middle."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise PriceError(
            f"{name}={text[:60]!r} is no number; write for example {name}=0.2 or {name}=0.2(0.15-0.3)"
        )
    one, other, value_text, low_text, high_text, currency = match.groups()
    if value_text is not None:
        value, low, high = float(value_text), float(low_text), float(high_text)
    else:
        low, high = float(one), float(other or one)
        value = (low + high) / 2
    if not -_MAX_VALUE < low <= value <= high < _MAX_VALUE:
        raise PriceError(f"{name}={text[:60]!r}: the value does not lie between its bounds")
    return value, low, high, None if currency is None else currency.upper()
