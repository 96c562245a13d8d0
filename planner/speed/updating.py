"""Effects that many measurements taught, taught further by a few of one's own.

What is known of every effect is taken as its prior: the fitted value, as sure as the fit was of it. So measurements of
one device move what is its own, and hardly what a thousand others agree on; an effect that nobody measured keeps the
prior of its level, as in the fit. A person's own device may differ from those of its name (power limit, cooling,
memory), so what belongs to a device is believed a little less than the fit says, and each machine stretches whole steps
by something of its own (`machine_effect`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from planner.speed.effects import Level
from planner.speed.factors import Effect
from planner.speed.fitting import Design, Prior, most_likely, prior_variance, with_values
from planner.speed.priors import SpreadKind
from planner.speed.sample import Sample

# What devices of one name differ by, natural logarithms: different sources on one test, whatever their builds, are
# apart by 7 % in decoding and 25 % in prompts; of like builds and options there are too few to tell.
_OWN_DEVICE_SD: Final[Mapping[SpreadKind, float]] = {"reading": 0.07, "other": 0.2, "step": 0.0}
_ITERATIONS: Final = 12
_FIXED_SD: Final = 1e-3  # of an effect whose fit did not say how sure it is: it stays


def updated(effects: Sequence[Effect], samples: Sequence[Sample]) -> tuple[Effect, ...]:
    """All effects after samples of one phase; those that the samples say nothing of stay as they are."""
    design = Design(samples, own=True)
    known = {effect.name: effect for effect in effects}
    start = design.values_from({name: effect.value for name, effect in known.items()})
    variance = prior_variance(design)
    for name, index in design.names.items():
        effect = known.get(name)
        if effect is not None:
            level, kind = design.spreads[index]
            variance[index] = (effect.sd or _FIXED_SD) ** 2 + _drift(level, kind)
    values, variance = most_likely(design, Prior(mean=start, variance=variance), start, _ITERATIONS)
    taught = {effect.name: effect for effect in with_values(design, values, variance)}
    for name, effect in known.items():
        if name in taught:
            taught[name] = _together(effect, taught[name])
    return tuple(taught.pop(effect.name, effect) for effect in effects) + tuple(taught.values())


def _drift(level: Level, kind: SpreadKind) -> float:
    return _OWN_DEVICE_SD[kind] ** 2 if level == "device" else 0.0


def _together(before: Effect, after: Effect) -> Effect:
    return replace(
        after,
        n_measurements=before.n_measurements + after.n_measurements,
        n_devices=max(before.n_devices, after.n_devices),
    )
