"""What a benchmark of one model is worth to others on the same machine: devices left out, then taught by one model.

On every machine of a device that a fit has not seen, the smallest model of each kind stands for what a person benches:
all that was measured of it, whatever the file and however full the cache. It teaches the fit (`updating`), and all
other models of the kind there are predicted.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from planner.speed.doubt import doubt
from planner.speed.effects import Phase
from planner.speed.factors import Case, Factors
from planner.speed.held_out import LeftOut
from planner.speed.intervals import Doubt, Knowledge
from planner.speed.knowing import states_of
from planner.speed.operator_facts import OPERATORS
from planner.speed.sample import Sample
from planner.speed.updating import updated

# What a rate is stated in: bytes read for each token, FLOP for a prompt.
_WORK: Final[Mapping[Phase, str]] = {"decode": "bytes", "prefill": "flop"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchable:
    """A sample with what decides whether a person would bench it."""

    sample: Sample
    machine: str
    kind: str  # models of one kind teach each other
    file_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Taught:
    """One sample predicted after the benchmark of another model on its machine."""

    index: int
    fold: int
    log_s: float
    log_s_by_rate: float  # by nothing but the rate per byte or FLOP of the benchmark
    knowledge: Knowledge
    doubt: Doubt


def after_one_model(items: Sequence[Benchable], left_out: Sequence[LeftOut]) -> tuple[Taught, ...]:
    """Predictions of samples of one phase; those without another model of their kind on the machine are missing.

    `left_out` are fits without each device. Steps that main memory shares are left as they are by a benchmark.
    """
    found: list[Taught] = []
    for part in left_out:
        places: dict[tuple[str, str], list[int]] = defaultdict(list)
        for index in part.indices:
            if items[index].sample.case.machine_effect is not None:
                places[items[index].machine, items[index].kind].append(index)
        for indices in places.values():
            found += _at_one_place(items, indices, part)
    return tuple(sorted(found, key=lambda taught: taught.index))


def _at_one_place(items: Sequence[Benchable], indices: Sequence[int], part: LeftOut) -> Iterator[Taught]:
    benched, others = _smallest_and_others(items, indices)
    if not others:
        return
    samples = [items[i].sample for i in benched]
    before = Factors(effects=part.fit.effects)
    factors = Factors(effects=updated(part.fit.effects, samples), before=before)
    slowness = median(math.log(sample.measured_s / work_s(sample.case)) for sample in samples)
    for index in others:
        case = items[index].sample.case
        seconds = factors.seconds(case)
        yield Taught(
            index=index,
            fold=part.fold,
            log_s=math.log(sum(seconds)),
            log_s_by_rate=slowness + math.log(work_s(case)),
            knowledge=states_of(factors, case)[0],
            doubt=doubt(factors, case, seconds),
        )


def _smallest_and_others(items: Sequence[Benchable], indices: Sequence[int]) -> tuple[list[int], list[int]]:
    """The measurements of the model with the smallest file, and those of all other models."""
    smallest = min(indices, key=lambda i: (items[i].file_bytes, items[i].sample.case.model_key))
    model = items[smallest].sample.case.model_key
    is_benched = {i: items[i].sample.case.model_key == model for i in indices}
    return [i for i in indices if is_benched[i]], [i for i in indices if not is_benched[i]]


def work_s(case: Case) -> float:
    """Ideal seconds of a case's bytes, or of its FLOP: what a plain rate goes by."""
    bound = _WORK[case.phase]
    return float(sum(time.ideal_s for time in case.operators if OPERATORS[time.operator].bound == bound))
