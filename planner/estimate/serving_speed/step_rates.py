"""What serving engines reach of a GPU's peaks and what they add per step: fitted numbers, kept apart from facts.

Every rate is a sum, on a scale where it cannot leave its range, of one number for all and one for each group that it
depends on: the GPU's family, the engine, the narrowest weights. A family that nobody measured has none of its own and
so takes what the others have in common.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from planner.estimate.serving_speed.deployment import Batch
from profiles.errors import ProfileError

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALL: Final = "*"
Scale = Literal["fraction", "positive"]
_AGE_SPREAD: Final = 1.0  # engines of another age may have had other kernels altogether
Axis = Literal["family", "engine", "unit", "product", "kernel", "age"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """One fitted rate: its scale, where it starts, which groups it may differ by."""

    name: str
    scale: Scale
    start: float  # on its own scale
    axes: tuple[Axis, ...]
    groups: Mapping[str, float] = field(default_factory=dict)  # summands where groups start, 0 if not named
    spread: float = 2.0  # how freely a fit may move it from its start, as a log ratio
    group_spread: float = 0.4
    family_spread: float | None = None  # None: like the other groups

    def spread_of(self, group: str) -> float:
        """How freely a fit may move the number of all ("*") or of a group."""
        if group == ALL:
            return self.spread
        if group.startswith("age:"):
            return _AGE_SPREAD
        if self.family_spread is not None and group.startswith("family:"):
            return self.family_spread
        return self.group_spread


def _kernel(name: str, start: float, axes: tuple[Axis, ...], **groups: float) -> Rate:
    """A share of a peak that kernels reach alone; engines stay near it."""
    return Rate(
        name=name, scale="fraction", start=start, axes=axes, spread=0.5, group_spread=0.3,
        groups={group.replace("__", ":").replace("_", " "): summand for group, summand in groups.items()},
    )  # fmt: skip


# Starts of the shares are what kernels reach in the tables of the aiconfigurator-core wheel 0.12.0 (Apache-2.0): medians
# of matrix products, grouped products and attention on H100, H200, B200, B300, GB200 and GB300.
# Grouped products are taken to reach half of their rate at 32 rows; their median of 0.14 is then that of 12 rows.
RATES: Final = (
    _kernel(
        "matrix_read_fraction",
        0.73,
        ("family", "unit", "age"),
        family__Hopper=0.4,
        unit__fp16=0.2,
        unit__fp4=-0.5,
    ),
    _kernel("expert_read_fraction", 0.88, ("family", "engine", "unit")),
    _kernel("cache_read_fraction", 0.83, ("family", "engine", "age"), family__Hopper=-0.3),
    _kernel(
        "prompt_flop_fraction",
        0.55,
        ("family", "engine", "product", "kernel", "age"),
        product__fp16=0.5,
        product__fp4=-0.6,
    ),
    _kernel("expert_flop_fraction", 0.5, ("family", "engine", "product", "kernel", "age"), product__fp4=-0.4),
    Rate(
        name="expert_half_rows", scale="positive", start=32.0, axes=("family",), spread=0.7, group_spread=0.3
    ),
    _kernel("mixing_flop_fraction", 0.5, ("family", "engine", "age")),
    _kernel("indexed_flop_fraction", 0.2, ()),
    Rate(name="recurrent_flop_fraction", scale="fraction", start=0.1, axes=()),
    Rate(name="expert_unevenness", scale="positive", start=0.3, axes=(), spread=1.0),
    Rate(name="routing_evenness", scale="fraction", start=0.6, axes=()),
    Rate(name="decode_mixing_share", scale="fraction", start=0.4, axes=("family", "engine")),
    Rate(name="layer_s", scale="positive", start=2.5e-5, axes=("family", "engine", "age")),
    Rate(name="moe_layer_s", scale="positive", start=2.5e-5, axes=("family", "engine")),
    Rate(name="latent_layer_s", scale="positive", start=1e-5, axes=("engine",)),
    Rate(name="indexed_layer_s", scale="positive", start=2e-5, axes=()),
    Rate(name="recurrent_layer_s", scale="positive", start=5e-6, axes=()),
    Rate(name="shared_layer_s", scale="positive", start=1.5e-5, axes=(), spread=0.7),
    Rate(name="normed_layer_s", scale="positive", start=5e-6, axes=("engine",), spread=0.7),
    Rate(name="scaled_layer_s", scale="positive", start=1e-5, axes=(), spread=0.7),
    Rate(name="host_layer_s", scale="positive", start=3e-4, axes=("engine",)),
    Rate(
        name="host_moe_layer_s", scale="positive", start=3e-4, axes=("engine",), spread=1.0, group_spread=0.3
    ),
    Rate(name="host_shared_layer_s", scale="positive", start=1e-4, axes=(), spread=1.0),
    Rate(name="host_latent_layer_s", scale="positive", start=2e-4, axes=(), spread=1.0),
    Rate(name="host_indexed_layer_s", scale="positive", start=3e-4, axes=(), spread=1.0),
    Rate(name="host_recurrent_layer_s", scale="positive", start=3e-4, axes=(), spread=1.0),
    Rate(name="host_normed_layer_s", scale="positive", start=5e-5, axes=(), spread=0.7),
    Rate(name="host_scaled_layer_s", scale="positive", start=1e-4, axes=(), spread=1.0),
    Rate(name="step_s", scale="positive", start=5e-4, axes=("engine", "age")),
    Rate(name="request_s", scale="positive", start=1e-5, axes=("engine", "age")),
    Rate(name="collective_s", scale="positive", start=4e-6, axes=("family", "engine")),
    _kernel("link_fraction", 0.36, ("family",)),
    Rate(
        name="prompt_interference",
        scale="positive",
        start=1.0,
        axes=("engine",),
        spread=0.3,
        group_spread=0.2,
    ),
    Rate(
        name="first_token_s",
        scale="positive",
        start=0.02,
        axes=("family", "engine"),
        spread=4.0,
        group_spread=2.0,
        family_spread=0.3,
    ),
    Rate(name="first_token_steps", scale="positive", start=1.0, axes=("engine",), spread=0.5),
    Rate(name="chained_prompts", scale="positive", start=1.0, axes=("engine",), spread=0.5),
    Rate(name="kept_waves", scale="fraction", start=0.75, axes=()),
    Rate(name="kept_clusters", scale="fraction", start=0.5, axes=()),
    Rate(name="cold_s", scale="positive", start=60.0, axes=(), spread=0.5),
    Rate(
        name="draft_acceptance", scale="fraction", start=0.5, axes=("engine",), spread=4.0, group_spread=2.0
    ),
)
_BY_NAME: Final = {rate.name: rate for rate in RATES}


def to_line(rate: Rate, value: float) -> float:
    """A value on the scale where rates add up: logit for fractions, logarithm for the rest."""
    return math.log(value / (1 - value)) if rate.scale == "fraction" else math.log(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRates:
    """Fitted summands by (rate, group); groups are "*", or an axis and a name: "family:Hopper"."""

    summands: Mapping[tuple[str, str], float]

    @property
    def families(self) -> frozenset[str]:
        """GPU families that were measured; others are timed by what these have in common."""
        groups = (group for _, group in self.summands)
        return frozenset(group.partition(":")[2] for group in groups if group.startswith("family:"))

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
