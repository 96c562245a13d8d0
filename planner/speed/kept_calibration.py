"""A calibration of one's own: what was fitted, to which measurements, over which packaged fit."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from planner.speed.factors import Effect, Factors
from planner.speed.intervals import Spread

# Whether the packaged measurements have a say beside one's own.
Mode = Literal["added", "alone"]
_NAMED = 3  # files, in a few words


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredFile:
    """One file that measurements came from."""

    name: str
    n_rows: int
    n_placed: int  # rows that the fit could learn from


@dataclass(frozen=True, kw_only=True)
class KeptCalibration:
    """Effects and intervals that stand in for the packaged ones."""

    id: str
    date: str
    mode: Mode
    base: str  # fingerprint of the packaged effects that it was made over
    files: tuple[MeasuredFile, ...]
    rows: tuple[Mapping[str, str], ...]  # the measurements themselves, for making it anew
    effects: tuple[Effect, ...]
    spreads: tuple[Spread, ...]
    loads: tuple[
        Mapping[str, str], ...
    ] = ()  # measured on serving engines, which correct their own deployment

    @property
    def n_rows(self) -> int:
        """Measurements, placed or not."""
        return len(self.rows) + len(self.loads)

    @property
    def description(self) -> str:
        """Which files, how many rows, and when, in a few words."""
        names = ", ".join(file.name for file in self.files[:_NAMED])
        if len(self.files) > _NAMED:
            names += f" and {len(self.files) - _NAMED} more"
        over = "over the packaged fit" if self.mode == "added" else "without the packaged fit"
        return f"your calibration of {self.date} ({names}: {self.n_rows:,} rows), {over}"

    @property
    def factors(self) -> Factors:
        """The effects, as estimates take them."""
        return Factors(
            effects=self.effects, date=self.date, source_digest=self.id, description=self.description
        )


def fingerprint(effects: Sequence[Effect]) -> str:
    """A short name of exactly these effects and their values."""
    lines = sorted(f"{effect.name} {effect.value:.4f}" for effect in effects)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
