"""Amounts of money as price tables show them, in dollars or another currency."""

from dataclasses import dataclass
from typing import Any

from planner.prices.currency import USD, ExchangeRate, money
from planner.report.quantities import usd_per_mtok


@dataclass(frozen=True, slots=True)
class Money:
    """How amounts, which are dollars inside, are shown."""

    rate: ExchangeRate

    @property
    def per_mtok(self) -> str:
        """The unit of prices, in words."""
        unit = "US dollars" if self.rate.currency == USD else self.rate.currency
        return f"{unit} per million tokens"

    @property
    def notes(self) -> tuple[str, ...]:
        """Where the rate is from, when there is one."""
        if self.rate.currency == USD:
            return ()
        return (
            f"1 {self.rate.currency} = {self.rate.usd_per_unit:.4f} USD on {self.rate.as_of}: {self.rate.source}.",
        )

    def rate_of(self, usd: float | None) -> str:
        """A price per million tokens, with its digits."""
        return usd_per_mtok(None if usd is None else self.rate.from_usd(usd))

    def amount(self, usd: float) -> str:
        """An amount with its currency: cents from one unit on, else the digits that there are."""
        own = self.rate.from_usd(usd)
        text = f"{money(own, self.rate.currency):,}" if abs(own) >= 1 else f"{own:.6g}"
        return f"${text}" if self.rate.currency == USD else f"{text} {self.rate.currency}"

    def data(self) -> dict[str, Any]:
        """The rate for JSON, whose amounts stay dollars."""
        return {
            "currency": self.rate.currency,
            "usd_per_unit": self.rate.usd_per_unit,
            "as_of": self.rate.as_of.isoformat(),
            "source": self.rate.source,
        }
