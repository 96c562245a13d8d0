"""What a prediction does not know: of the machine, of the model, and of what was measured seldom.

The fit is Gaussian in logarithms, so an effect that nobody has measured leaves the spread of its level open, as far
as it moves this very step: a step that is all reading doubts what reading on the device would take, one that is all
launches what launching would. Of effects that were measured, what stays open is what their measurements leave.

    doubt² = Σ effects (d log seconds / d effect)² · variance
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from planner.speed.effects import least_factor
from planner.speed.factors import Case, Factors
from planner.speed.intervals import Doubt
from planner.speed.priors import SPREAD_SD, SpreadKind, spread_kind

# Variances, unmeasured and measured, of the effects that act on exactly these operators of a case.
_Shared = tuple[tuple[int, ...], float, float]

# Types of weights that are read, by experts too: their spread must not depend on whether other weights have them.
_OF_READING = ("type-read ", "type-vector_read ")


def doubt(factors: Factors, case: Case, seconds: Sequence[Any]) -> Doubt:
    """What is open of a case whose operators take `seconds`; arrays where these are."""
    excess = _excess_seconds(factors, case, seconds)
    machine, known = 0.0, 0.0
    for operators, unmeasured, measured in _shared(factors, case):
        first, *others = operators
        moved = excess[first]
        for other in others:
            moved = moved + excess[other]
        moved = moved * moved
        if unmeasured:
            machine = machine + moved * unmeasured
        if measured:
            known = known + moved * measured
    model, sure = 0.0, 0.0
    for level, name in case.step_effects:
        if name in factors.values:
            sure += factors.deviations[name] ** 2
        else:
            model += SPREAD_SD[level, "step"] ** 2
    total = sum(seconds)
    return Doubt(
        machine=machine**0.5 / total, model=model**0.5, known=(known / (total * total) + sure) ** 0.5
    )


def _excess_seconds(factors: Factors, case: Case, seconds: Sequence[Any]) -> list[Any]:
    """What each operator takes beyond its least: what effects stretch. Over the total, it is the derivative.

    Not divided by it yet: most operators take the same at every depth, and only the total is an array.
    """
    found = []
    for time, took in zip(case.operators, seconds, strict=True):
        least = least_factor(time.operator, case.layout.device(time.device))
        found.append(took * (1 - least / factors.factor(case, time)))
    return found


def _shared(factors: Factors, case: Case) -> tuple[_Shared, ...]:
    """Effects put together by the operators that they act on; cases alike but for sizes have the same."""
    layout = case.layout
    key = (
        tuple((time.device, time.operator, time.type_class) for time in case.operators),
        layout.gpus, layout.host, case.setting, case.phase,
    )  # fmt: skip
    if key not in factors.remembered:
        factors.remembered[key] = _put_together(factors, case)
    found: tuple[_Shared, ...] = factors.remembered[key]
    return found


def _put_together(factors: Factors, case: Case) -> tuple[_Shared, ...]:
    acting: dict[str, list[int]] = defaultdict(list)
    priors: dict[str, float] = {}
    for index, time in enumerate(case.operators):
        own_kind: SpreadKind = spread_kind(time.operator)
        for level, name in case.effects_of(time):
            acting[name].append(index)
            kind: SpreadKind = "reading" if name.startswith(_OF_READING) else own_kind
            priors.setdefault(name, SPREAD_SD[level, kind] ** 2)
    sums: dict[tuple[int, ...], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for name, operators in acting.items():
        entry = sums[tuple(operators)]
        if name in factors.values:
            entry[1] += factors.deviations[name] ** 2
        else:
            entry[0] += priors[name]
    return tuple((operators, *variances) for operators, variances in sums.items())  # type: ignore[misc]
