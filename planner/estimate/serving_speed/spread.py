"""How far measured times stray from expected ones on rows that the fit had not seen.

A spread is one engine's, of dense models or of mixtures of experts, and of runs whose settings are known, of runs that
nobody told more about than their load, or of runs as the tool reports them that made their load. Where too few groups
were measured for that, it is that of more of them. On a GPU that no fit has seen times stray further: that spread is of
whole systems left out in turn.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from profiles.errors import ProfileError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Quantity = Literal["tpot", "ttft", "tok_s"]
ALL: Final = "*"
_LEAST_GROUPS: Final = 4  # below it, a kind takes the spread of more of them
_LEAST_SYSTEMS: Final = 3
_COVERAGE: Final = 0.8  # of what a spread shall contain of groups that it was not made from
_TAILS: Final = tuple(0.1 - 0.005 * i for i in range(19))  # shares cut off at either end, widest spread last


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What measurements have in common that stray alike; "*" is any."""

    engine: str = ALL
    model: str = ALL  # "dense", "experts"
    # "known", and on a GPU that no fit has seen "new"; "unknown", "reported" by the tool that made the load, or "apart":
    # prompts on GPUs of their own
    settings: str = ALL

    @property
    def wider(self) -> tuple["Kind", ...]:
        """The kind itself and those that it may take its spread from, narrowest first."""
        return (
            self,
            Kind(model=self.model, settings=self.settings),
            Kind(settings=self.settings),
            Kind(),
        )


def kind_of(
    engine: str,
    *,
    has_experts: bool,
    has_known_settings: bool,
    is_reported: bool = False,
    is_new_device: bool = False,
) -> Kind:
    """The narrowest kind of one deployment."""
    known = NEW.settings if is_new_device else "known"
    return Kind(
        engine=engine,
        model="experts" if has_experts else "dense",
        settings=known if has_known_settings else "reported" if is_reported else "unknown",
    )


NEW: Final = Kind(settings="new")  # GPUs that no fit has seen: too few were measured to tell engines apart


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Bounds of measured over expected time that contain 80 % of a group that had no say in them.

    They are quantiles in which each group of rows counts alike. Each group (or each system, for GPUs that no fit has seen)
    in turn is held against the quantiles of the others; the share cut off at either end is the largest, 10 % at most, at
    which four of five are contained.
    """

    quantity: Quantity
    kind: Kind
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
    kinds: Sequence[Kind],
    groups: Sequence[str],
    source: str,
) -> tuple[Spread, ...]:
    """The spread of every kind with enough groups; `log_ratios` are log(measured / expected)."""
    members: dict[Kind, list[int]] = {}
    for i, kind in enumerate(kinds):
        for one in kind.wider:
            members.setdefault(one, []).append(i)
    found = []
    for kind, chosen in sorted(
        members.items(), key=lambda item: (item[0].engine, item[0].model, item[0].settings)
    ):
        n_groups = len({groups[i] for i in chosen})
        if kind != Kind() and n_groups < _LEAST_GROUPS:
            continue
        ours = [groups[i] for i in chosen]
        low, high = _bounds([log_ratios[i] for i in chosen], ours, ours)
        found.append(
            Spread(
                quantity=quantity,
                kind=kind,
                low_ratio=low,
                high_ratio=high,
                n_groups=n_groups,
                source=source,
            )
        )
    return tuple(found)


def spread_of_new_devices(
    quantity: Quantity,
    log_ratios: Sequence[float],
    groups: Sequence[str],
    systems: Sequence[str],
    source: str,
) -> Spread | None:
    """The spread of GPUs that no fit has seen, by fits without each system in turn; None if there are too few of them."""
    if len(set(systems)) < _LEAST_SYSTEMS:
        return None
    low, high = _bounds(log_ratios, groups, systems)
    return Spread(
        quantity=quantity,
        kind=NEW,
        low_ratio=low,
        high_ratio=high,
        n_groups=len(set(groups)),
        source=source,
    )


def _bounds(log_ratios: Sequence[float], groups: Sequence[str], folds: Sequence[str]) -> tuple[float, float]:
    """Quantiles at the share cut off at which, each fold in turn held against the others, groups are contained."""
    import numpy as np

    values, names, parts = np.asarray(log_ratios), np.asarray(groups), np.asarray(folds)
    tail = _TAILS[0]
    for tail in _TAILS:
        contained = []
        for part in np.unique(parts):
            away = parts == part
            if away.all():
                break
            low, high = _quantiles(values[~away], names[~away], tail)
            is_in = (values >= low) & (values <= high)
            contained += [float(np.mean(is_in[names == name])) for name in np.unique(names[away])]
        if not contained or np.mean(contained) >= _COVERAGE:
            break
    low, high = np.exp(_quantiles(values, names, tail))
    return float(low), float(high)


def _quantiles(values: "NDArray[Any]", groups: "NDArray[Any]", tail: float) -> "NDArray[Any]":
    import numpy as np

    _, index, counts = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.argsort(values)
    weights = 1.0 / counts[index][order]
    reached = (np.cumsum(weights) - weights / 2) / weights.sum()
    found: NDArray[Any] = np.interp((tail, 1 - tail), reached, values[order])
    return found


def spread_for(spreads: Iterable[Spread], quantity: Quantity, kind: Kind) -> Spread:
    """The spread of the narrowest kind that there is one for."""
    found = {spread.kind: spread for spread in spreads if spread.quantity == quantity}
    return next(found[one] for one in kind.wider if one in found)


def spreads_from_rows(
    rows: Iterable[Mapping[str, Any]], file: str = "serving_spread.csv"
) -> tuple[Spread, ...]:
    """The rows of a file of spreads among the calibrations as records; raises ProfileError naming the row."""
    found = []
    for row in rows:
        try:
            if row["quantity"] not in get_args(Quantity) or not row["engine"]:
                raise ValueError(f"quantity {row['quantity']!r}, engine {row['engine']!r}")
            found.append(
                Spread(
                    quantity=row["quantity"],
                    kind=Kind(engine=row["engine"], model=row["model"], settings=row["settings"]),
                    low_ratio=float(row["low_ratio"]), high_ratio=float(row["high_ratio"]),
                    n_groups=int(row["n_groups"]), source=row["source"],
                )
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise ProfileError(f"calibrations/{file}, row {row.get('id')!r}: {error}") from error
    return tuple(found)
