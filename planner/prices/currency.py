"""Money of other currencies: dated exchange rates, which the user can replace, and amounts to the cent.

Everything inside is US dollars. Rates are the European Central Bank's, units of a currency for one euro; the rate of a
day is the newest one that is known by then.
"""

from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal

from planner.errors import PriceError
from profiles.loader import exchange_rate_rows

USD = "USD"
EUR = "EUR"
_SIGNIFICANT = Decimal("1e-9")  # of a dollar: below it is what floats leave behind
_CENTS = Decimal("0.01")
_WITHOUT_CENTS = ("JPY", "KRW")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeRate:
    """What one unit of a currency was worth on a day."""

    currency: str
    usd_per_unit: float
    as_of: date  # the newest day of the two rates that it is made of
    source: str

    def to_usd(self, amount: float) -> float:
        """Dollars of an amount in this currency."""
        return amount * self.usd_per_unit

    def from_usd(self, amount_usd: float) -> float:
        """An amount in this currency."""
        return amount_usd / self.usd_per_unit


def exchange_rate(currency: str, day: date) -> ExchangeRate:
    """The rate of a currency on a day; PriceError for one that is unknown, or not known yet on that day."""
    code = currency.strip().upper()
    if code == USD:
        return ExchangeRate(currency=USD, usd_per_unit=1.0, as_of=day, source="")
    usd_per_eur, usd_day, source = _units_per_eur(USD, day)
    if code == EUR:
        return ExchangeRate(currency=EUR, usd_per_unit=usd_per_eur, as_of=usd_day, source=source)
    units, its_day, source = _units_per_eur(code, day)
    return ExchangeRate(
        currency=code, usd_per_unit=usd_per_eur / units, as_of=min(usd_day, its_day), source=source
    )


def known_currencies() -> tuple[str, ...]:
    """Codes of the currencies that have a rate."""
    return tuple(sorted({USD, EUR} | {row["currency"] or "" for row in exchange_rate_rows()}))


def money(amount: float, currency: str = USD) -> Decimal:
    """An amount as it is charged: whole cents, half a cent to the even one; whole units where there are no cents.

    The dust that floats leave in the tenth digit is dropped before, so that 0.125 is a half and 0.125000000001 too.
    """
    exact = Decimal(repr(amount)).quantize(_SIGNIFICANT, rounding=ROUND_HALF_EVEN)
    return exact.quantize(Decimal(1) if currency in _WITHOUT_CENTS else _CENTS, rounding=ROUND_HALF_EVEN)


def _units_per_eur(code: str, day: date) -> tuple[float, date, str]:
    rows = [row for row in exchange_rate_rows() if row["currency"] == code]
    if not rows:
        raise PriceError(
            f"no exchange rate of {code[:10]!r} is known; known: {', '.join(known_currencies())}; "
            "add it to exchange_rates.csv in your own profiles"
        )
    begun = [row for row in rows if (row["as_of"] or "") <= day.isoformat()]
    if not begun:
        first = min(row["as_of"] or "" for row in rows)
        raise PriceError(f"no exchange rate of {code} is known before {first}; asked for {day}")
    newest = max(begun, key=lambda row: row["as_of"] or "")
    return (
        float(newest["units_per_eur"] or 0),
        date.fromisoformat(newest["as_of"] or ""),
        newest["source"] or "",
    )
