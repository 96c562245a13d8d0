"""How far measured times stray from expected ones on rows that the fit had not seen, by engine."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from profiles.errors import ProfileError

Quantity = Literal["tpot", "ttft"]
ALL: Final = "*"
_LEAST_GROUPS: Final = 8  # below it, an engine takes the spread of all of them
_LOW, _HIGH = 0.1, 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Quantiles (10 % and 90 %) of measured over expected time, each group of rows counting alike."""

    quantity: Quantity
    engine: str
    low_ratio: float
    high_ratio: float
    n_groups: int
    source: str

    def __post_init__(self) -> None:
        if not 0 < self.low_ratio < self.high_ratio:
            raise ValueError(f"{self.low_ratio} and {self.high_ratio} are no bounds")


def spreads_of(
    quantity: Quantity,
    log_ratios: Sequence[float],
    engines: Sequence[str],
    groups: Sequence[str],
    source: str,
) -> tuple[Spread, ...]:
    """The spread of all rows, and of each engine with enough groups; `log_ratios` are log(measured / expected)."""
    found = []
    for engine in (ALL, *sorted(set(engines))):
        chosen = [i for i, name in enumerate(engines) if engine in (ALL, name)]
        n_groups = len({groups[i] for i in chosen})
        if engine != ALL and n_groups < _LEAST_GROUPS:
            continue
        low, high = _weighted_quantiles([log_ratios[i] for i in chosen], [groups[i] for i in chosen])
        found.append(
            Spread(
                quantity=quantity,
                engine=engine,
                low_ratio=low,
                high_ratio=high,
                n_groups=n_groups,
                source=source,
            )
        )
    return tuple(found)


def _weighted_quantiles(log_ratios: Sequence[float], groups: Sequence[str]) -> tuple[float, float]:
    import numpy as np

    values = np.asarray(log_ratios)
    _, index, counts = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    order = np.argsort(values)
    weights = 1.0 / counts[index][order]
    reached = (np.cumsum(weights) - weights / 2) / weights.sum()
    low, high = np.exp(np.interp((_LOW, _HIGH), reached, values[order]))
    return float(low), float(high)


def spread_for(spreads: Iterable[Spread], quantity: Quantity, engine: str) -> Spread:
    """The engine's own spread, else that of all."""
    found = {spread.engine: spread for spread in spreads if spread.quantity == quantity}
    return found.get(engine) or found[ALL]


def spreads_from_rows(rows: Iterable[Mapping[str, Any]]) -> tuple[Spread, ...]:
    """The rows of `calibrations/serving_spread.csv` as records; raises ProfileError naming the row."""
    found = []
    for row in rows:
        try:
            if row["quantity"] not in get_args(Quantity) or not row["engine"]:
                raise ValueError(f"quantity {row['quantity']!r}, engine {row['engine']!r}")
            found.append(
                Spread(
                    quantity=row["quantity"], engine=row["engine"], low_ratio=float(row["low_ratio"]),
                    high_ratio=float(row["high_ratio"]), n_groups=int(row["n_groups"]), source=row["source"],
                )
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise ProfileError(f"calibrations/serving_spread.csv, row {row.get('id')!r}: {error}") from error
    return tuple(found)
