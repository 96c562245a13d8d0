"""Fits what further tokens of a vector kernel cost, and measures how far steps of several tokens are off.

From each measured series (a device, a backend, a model, a type) with 2 to 8 tokens: of the time that the model does
not explain without columns, what columns take alone is C = √((reading + rest)² − reading²), and C over its ideal
seconds is the series' factor, its least one taken off. Types and backends are means of logarithms, drawn to what is
more general by one series each.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from planner.speed.batched import COLUMNS, VECTOR_TOKENS
from planner.speed.effects import least_factor, measured_as
from planner.speed.factors import Case, Effect, Factors
from planner.speed.intervals import Spread, knowledge
from planner.speed.operator_facts import OPERATORS
from planner.speed.state_spreads import Residual, spreads

_SMALLEST = 0.1  # a factor beyond the least: columns that reading hides altogether tell no more


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredStep:
    """A step of several tokens, or of one, and how long it took."""

    case: Case
    n_tokens: int
    measured_s: float
    series: str  # device, backend, model, type, depth
    cell: str  # without the depth: what counts once
    device: str
    has_experts: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchedFit:
    """Effects of columns, and the bounds of steps of several tokens that a fit had not seen the device of."""

    effects: tuple[Effect, ...]
    spreads: tuple[Spread, ...]
    residuals: tuple[tuple[MeasuredStep, float], ...]  # log of measured over expected speed


@dataclass(frozen=True, slots=True)
class _Found:
    device: str
    backend: str
    type_class: str
    logarithm: float
    n_steps: int


def fit_batched(steps: Sequence[MeasuredStep], factors: Factors) -> BatchedFit:
    """Columns' effects on top of `factors`, and how far off steps are whose device the fit left out."""
    found = _series(steps, factors)
    residuals = []
    for device in sorted({step.device for step in steps}):
        others = [one for one in found if one.device != device]
        unseen = with_effects(factors, _effects(others))
        residuals += [
            (step, math.log(sum(unseen.seconds(step.case)) / step.measured_s))
            for step in steps
            if step.device == device and step.n_tokens > 1
        ]
    return BatchedFit(
        effects=_effects(found),
        spreads=spreads(
            Residual(
                speed_class="moe_batch" if step.has_experts else "dense_batch",
                knowledge=knowledge(
                    device=factors.knows_device(step.case), model=factors.knows_model(step.case)
                ),
                group=step.cell,
                log_ratio=residual,
            )
            for step, residual in residuals
        ),
        residuals=tuple(residuals),
    )


def with_effects(factors: Factors, effects: Sequence[Effect]) -> Factors:
    """Factors with more effects."""
    return Factors(
        effects=(*factors.effects, *effects),
        date=factors.date,
        source_digest=factors.source_digest,
        levels_sd=factors.levels_sd,
    )


def _series(steps: Sequence[MeasuredStep], factors: Factors) -> list[_Found]:
    """The factor of every dense series; a mixture's steps differ by their experts more than by columns."""
    by_series: dict[str, list[MeasuredStep]] = defaultdict(list)
    for step in steps:
        if not step.has_experts:
            by_series[step.series].append(step)
    found = []
    for series in by_series.values():
        single = next((step for step in series if step.n_tokens == 1), None)
        # What the model is off by for one token is not the columns' fault.
        off = 1.0 if single is None else single.measured_s / sum(factors.seconds(single.case))
        columns_s, ideal_s, n = 0.0, 0.0, 0
        for step in series:
            if 1 < step.n_tokens <= VECTOR_TOKENS:
                columns_s += _columns_s(step, factors, off)
                ideal_s += sum(time.ideal_s for time in step.case.operators if time.operator in COLUMNS)
                n += 1
        if columns_s and ideal_s:
            gpu = series[0].case.layout.gpus[0]
            beyond = max(_SMALLEST, columns_s / ideal_s - least_factor("columns", gpu))
            found.append(
                _Found(series[0].device, gpu.backend, _main_type(series[0].case), math.log(beyond), n)
            )
    return found


def _columns_s(step: MeasuredStep, factors: Factors, off: float) -> float:
    """What columns would take alone, were the step as far off as its series is for one token."""
    case = step.case
    plain = Case(
        phase=case.phase,
        operators=tuple(time for time in case.operators if time.operator not in COLUMNS),
        layout=case.layout,
        setting=case.setting,
        model_key=case.model_key,
        architecture=case.architecture,
    )
    seconds = factors.seconds(plain)
    reading = sum(
        took for time, took in zip(plain.operators, seconds, strict=True) if time.operator.startswith("read")
    )
    seen = max(0.0, step.measured_s / off - sum(seconds))
    return math.sqrt((reading + seen) ** 2 - reading**2)


def _main_type(case: Case) -> str:
    """The class of most of what is read."""
    sums: dict[str, float] = defaultdict(float)
    for time in case.operators:
        if time.operator == "read":
            sums[time.type_class] += time.ideal_s
    return measured_as(max(sums, key=lambda name: sums[name]))


def _effects(found: Sequence[_Found]) -> tuple[Effect, ...]:
    start = OPERATORS["columns"].start
    base = _mean([one.logarithm for one in found]) if found else start
    effects = [_effect(name, "operator", base - start, found) for name in COLUMNS]
    left: Mapping[str, list[_Found]] = _grouped(found, lambda one: one.type_class)
    for name, ones in sorted(left.items()):
        value = _shrunk([one.logarithm - base for one in ones])
        effects.append(_effect(f"type-columns {name}", "type", value, ones))
        for backend, few in sorted(_grouped(ones, lambda one: one.backend).items()):
            rest = _shrunk([one.logarithm - base - value for one in few])
            effects.append(_effect(f"type-columns {name} {backend}", "type_backend", rest, few))
    return tuple(effects)


def _effect(
    name: str, level: Literal["operator", "type", "type_backend"], value: float, found: Sequence[_Found]
) -> Effect:
    return Effect(
        name=name,
        level=level,
        value=value,
        n_measurements=sum(one.n_steps for one in found),
        n_devices=len({one.device for one in found}),
    )


def _grouped(found: Sequence[_Found], key: Callable[[_Found], str]) -> Mapping[str, list[_Found]]:
    groups: dict[str, list[_Found]] = defaultdict(list)
    for one in found:
        groups[key(one)].append(one)
    return groups


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _shrunk(values: Sequence[float]) -> float:
    return sum(values) / (len(values) + 1)
