"""What is believed of effects that nobody has measured: how far those of their level and kind lie from 0."""

from collections.abc import Mapping
from typing import Literal

from planner.speed.effects import Level
from planner.speed.operator_facts import OPERATORS

# What an effect's spread is shared with: effects of its level on operators of its kind.
SpreadKind = Literal["reading", "other", "step"]
PriorOf = tuple[Level, SpreadKind]
# Prior spreads, natural logarithms. They follow an empirical-Bayes estimate on the packaged measurements (the mean
# of squared effect plus posterior variance), with models and architectures held to what whole steps differ by:
# left free, architectures take over the operators' own factors.
SPREAD_SD: Mapping[PriorOf, float] = {
    ("operator", "reading"): 1.5, ("backend", "reading"): 0.2, ("memory", "reading"): 0.2,
    ("family", "reading"): 0.2, ("device", "reading"): 0.2, ("type", "reading"): 0.3,
    ("type_backend", "reading"): 0.25, ("type_family", "reading"): 0.15, ("age", "reading"): 0.1,
    ("build", "reading"): 0.15, ("engine", "reading"): 0.25, ("several", "reading"): 0.1,
    ("attention", "reading"): 0.2,
    ("operator", "other"): 1.5, ("backend", "other"): 0.5, ("memory", "other"): 0.3, ("family", "other"): 0.35,
    ("device", "other"): 0.25, ("type", "other"): 0.3, ("type_backend", "other"): 0.3,
    ("type_family", "other"): 0.2, ("age", "other"): 0.2, ("build", "other"): 0.25, ("engine", "other"): 0.4,
    ("attention", "other"): 0.4, ("several", "other"): 0.3,
    ("model", "step"): 0.1, ("architecture", "step"): 0.08, ("machine", "step"): 0.2,
}  # fmt: skip


def spread_kind(operator: str) -> SpreadKind:
    """Reading large weights lies within a few tenths of the peak, so its excess varies more than others' do."""
    return "reading" if OPERATORS[operator].bound == "bytes" and OPERATORS[operator].start < -1 else "other"
