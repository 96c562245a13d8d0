"""How two price lists differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from planner.prices.line import PriceLine
from planner.prices.tariff import TokenRates


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedPrice:
    """A price that is another one than before; None on the side where the list has none."""

    provider: str
    model_id: str
    before: PriceLine | None
    after: PriceLine | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatedPrices:
    """What a fetched list holds, and where it is kept; nowhere after a dry run."""

    url: str
    source: str
    data_date: date | None
    n_prices: int
    changes: tuple[ChangedPrice, ...]
    kept_in: Path | None


def changed_prices(before: Sequence[PriceLine], after: Sequence[PriceLine]) -> tuple[ChangedPrice, ...]:
    """Models whose newest usual price differs, new and vanished ones among them."""
    old, new = {line.key: line for line in before}, {line.key: line for line in after}
    return tuple(
        ChangedPrice(provider=line.provider, model_id=line.model_id, before=old.get(key), after=new.get(key))
        for key, line in sorted({**old, **new}.items())
        if _rates(old.get(key)) != _rates(new.get(key))
    )


def _rates(line: PriceLine | None) -> TokenRates | None:
    return None if line is None else line.periods[-1].schedule.usual.rates
