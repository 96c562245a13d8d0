"""What serving engines reach of a GPU's peaks and what they add per step: fitted numbers, kept apart from facts.

Every rate is a sum, on a scale where it cannot leave its range, of one number for all and one for each group that it
depends on: the GPU's family, the engine, the narrowest weights. A family that nobody measured has none of its own and
so takes what the others have in common.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from planner.estimate.serving_speed.deployment import Batch
from profiles.errors import ProfileError

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALL: Final = "*"
Scale = Literal["fraction", "positive"]
Axis = Literal["family", "engine", "unit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """One fitted rate: its scale, where it starts, which groups it may differ by."""

    name: str
    scale: Scale
    start: float  # on its own scale
    axes: tuple[Axis, ...]


RATES: Final = (
    Rate(name="matrix_read_fraction", scale="fraction", start=0.75, axes=("family", "unit")),
    Rate(name="expert_read_fraction", scale="fraction", start=0.75, axes=("family", "engine", "unit")),
    Rate(name="cache_read_fraction", scale="fraction", start=0.75, axes=("family", "engine")),
    Rate(name="prompt_flop_fraction", scale="fraction", start=0.5, axes=("family", "engine", "unit")),
    Rate(name="decode_flop_fraction", scale="fraction", start=0.5, axes=("family",)),
    Rate(name="layer_s", scale="positive", start=2.5e-5, axes=("family", "engine")),
    Rate(name="moe_layer_s", scale="positive", start=1.5e-5, axes=("family", "engine")),
    Rate(name="latent_layer_s", scale="positive", start=5e-6, axes=("engine",)),
    Rate(name="indexed_layer_s", scale="positive", start=2e-5, axes=()),
    Rate(name="recurrent_layer_s", scale="positive", start=5e-6, axes=()),
    Rate(name="step_s", scale="positive", start=5e-4, axes=("engine",)),
    Rate(name="request_s", scale="positive", start=1e-5, axes=("engine",)),
    Rate(name="collective_s", scale="positive", start=6e-6, axes=("family", "engine")),
    Rate(name="link_fraction", scale="fraction", start=0.5, axes=("family",)),
    Rate(name="prompt_interference", scale="positive", start=1.0, axes=("engine",)),
    Rate(name="first_token_s", scale="positive", start=0.02, axes=("engine",)),
    Rate(name="first_token_steps", scale="positive", start=1.0, axes=("engine",)),
    Rate(name="queued_prompts", scale="positive", start=0.2, axes=("engine",)),
    Rate(name="queue_growth", scale="fraction", start=0.8, axes=("engine",)),
    Rate(name="batched_prompt_tokens", scale="positive", start=10_000.0, axes=("engine",)),
)
_BY_NAME: Final = {rate.name: rate for rate in RATES}


def to_line(rate: Rate, value: float) -> float:
    """A value on the scale where rates add up: logit for fractions, logarithm for the rest."""
    return math.log(value / (1 - value)) if rate.scale == "fraction" else math.log(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRates:
    """Fitted summands by (rate, group); groups are "*", or an axis and a name: "family:Hopper"."""

    summands: Mapping[tuple[str, str], float]

    def value(self, name: str, questions: Batch) -> "NDArray[Any]":
        """The rate for every deployment."""
        import numpy as np

        rate = _BY_NAME[name]
        line = np.full(len(questions), self.summands.get((name, ALL), to_line(rate, rate.start)))
        for axis in rate.axes:
            for group, is_member in questions.members[axis].items():
                found = self.summands.get((name, f"{axis}:{group}"))
                if found:
                    line = line + found * is_member
        value: NDArray[Any] = 1 / (1 + np.exp(-line)) if rate.scale == "fraction" else np.exp(line)
        return value


def rates_from_rows(rows: Iterable[Mapping[str, str | None]]) -> StepRates:
    """The rows of `calibrations/serving_steps.csv` as a record; raises ProfileError naming the row."""
    found: dict[tuple[str, str], float] = {}
    for row in rows:
        name, group = row.get("rate") or "", row.get("group") or ""
        try:
            if name not in _BY_NAME or not group:
                raise ValueError(f"rate {name!r}, group {group!r}")
            found[name, group] = float(row.get("summand") or "")
        except ValueError as error:
            raise ProfileError(f"calibrations/serving_steps.csv, row {row.get('id')!r}: {error}") from error
    return StepRates(summands=found)
