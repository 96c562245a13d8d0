"""Fitted effects and intervals as rows of a CSV file, and back."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

from planner.speed.effects import Level
from planner.speed.factors import Effect, Factors
from planner.speed.intervals import KNOWLEDGE, Spread, Widening
from profiles.errors import ProfileError

EFFECT_COLUMNS = ("id", "level", "value", "sd", "n_measurements", "n_devices", "date", "source")
SPREAD_COLUMNS = (
    "id",
    "speed_class", "knowledge", "low_ratio", "high_ratio", "n_groups", "n_rows",
    "slower_least", "slower_machine", "slower_model", "slower_known",
    "faster_least", "faster_machine", "faster_model", "faster_known", "date", "source",
)  # fmt: skip
_LEVELS: Mapping[str, Level] = {level: level for level in get_args(Level)}
_WIDENED = ("least", "machine", "model", "known")


def effect_rows(factors: Factors) -> list[dict[str, str]]:
    """One row per effect, by level and name; a value near 0 that is sure says more than none."""
    order = {level: number for number, level in enumerate(get_args(Level))}
    kept = sorted(factors.effects, key=lambda effect: (order[effect.level], effect.name))
    return [
        {
            "id": effect.name,
            "level": effect.level,
            "value": f"{effect.value:.4f}",
            "sd": "" if effect.sd is None else f"{effect.sd:.4f}",
            "n_measurements": str(effect.n_measurements),
            "n_devices": str(effect.n_devices),
            "date": factors.date,
            "source": factors.source_digest,
        }
        for effect in kept
    ]


def factors_from(rows: Iterable[Mapping[str, str | None]]) -> Factors:
    """The effects of a calibration file; raises ProfileError naming the row that is none.

    Rows of one fit belong together: where a user's own fit stands over the packaged one, only the later counts.
    """
    effects, date, digest = [], "", ""
    for row in _of_latest_fit(rows):
        try:
            level = _LEVELS[row["level"] or ""]
            effects.append(
                Effect(
                    name=row["id"] or "",
                    level=level,
                    value=float(row["value"] or ""),
                    sd=float(row["sd"] or "") if row.get("sd") else None,
                    n_measurements=int(row["n_measurements"] or ""),
                    n_devices=int(row["n_devices"] or ""),
                )
            )
            date, digest = row["date"] or "", row["source"] or ""
        except (KeyError, ValueError, StopIteration) as error:
            raise ProfileError(f"speed calibration, effect {row.get('id')!r}: {error!r}") from error
    return Factors(effects=tuple(effects), date=date, source_digest=digest)


def _of_latest_fit(rows: Iterable[Mapping[str, str | None]]) -> list[Mapping[str, str | None]]:
    every = list(rows)
    latest = max(((row.get("date") or "", row.get("source") or "") for row in every), default=("", ""))
    return [row for row in every if (row.get("date") or "", row.get("source") or "") == latest]


def spread_rows(spreads: Sequence[Spread], date: str, digest: str) -> list[dict[str, str]]:
    """One row per class and state of knowledge."""
    return [
        {
            "id": f"{spread.speed_class}-{spread.knowledge}",
            "speed_class": spread.speed_class,
            "knowledge": spread.knowledge,
            "low_ratio": f"{spread.low_ratio:.4f}",
            "high_ratio": f"{spread.high_ratio:.4f}",
            "n_groups": str(spread.n_groups),
            "n_rows": str(spread.n_rows),
            **_widening_columns("slower", spread.slower),
            **_widening_columns("faster", spread.faster),
            "date": date,
            "source": digest,
        }
        for spread in spreads
    ]


def _widening_columns(side: str, found: Widening | None) -> dict[str, str]:
    return {f"{side}_{name}": "" if found is None else f"{getattr(found, name):.4f}" for name in _WIDENED}


def _widening(row: Mapping[str, str | None], side: str) -> Widening | None:
    if not row.get(f"{side}_least"):
        return None
    least, machine, model, known = (float(row[f"{side}_{name}"] or "") for name in _WIDENED)
    if not all(0 <= value < math.inf for value in (least, machine, model, known)):
        raise ValueError(f"{side}: no numbers of 0 and more")
    return Widening(least=least, machine=machine, model=model, known=known)


def spreads_from(rows: Iterable[Mapping[str, str | None]]) -> tuple[Spread, ...]:
    """The intervals of a calibration file; raises ProfileError naming the row that is none."""
    found = []
    for row in _of_latest_fit(rows):
        try:
            found.append(
                Spread(
                    speed_class=row["speed_class"] or "",
                    knowledge=next(state for state in KNOWLEDGE if state == row["knowledge"]),
                    low_ratio=float(row["low_ratio"] or ""),
                    high_ratio=float(row["high_ratio"] or ""),
                    n_groups=int(row["n_groups"] or ""),
                    n_rows=int(row["n_rows"] or ""),
                    slower=_widening(row, "slower"),
                    faster=_widening(row, "faster"),
                )
            )
        except (KeyError, ValueError, StopIteration) as error:
            raise ProfileError(f"speed intervals, {row.get('speed_class')!r}: {error!r}") from error
    return tuple(found)
