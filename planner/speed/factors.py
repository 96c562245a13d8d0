"""Fitted factors applied to operators: from ideal seconds to expected ones."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from planner.speed.batched import seen_seconds
from planner.speed.effects import (
    Level,
    Phase,
    least_factor,
    machine_effect,
    model_effects,
    operator_effects,
    start_logarithm,
)
from planner.speed.operator_time import OperatorTime
from planner.speed.operators import HOST, Layout
from planner.speed.overlap import beside_each_other
from planner.speed.setting import Setting

# exp of more than this would be a factor that no kernel has; it keeps a fit that goes astray finite.
LARGEST_LOGARITHM = 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One fitted effect: a logarithm added to every operator that has it."""

    name: str
    level: Level
    value: float
    n_measurements: int  # that it has a say in
    n_devices: int
    sd: float | None = None  # what its value is sure to, were all others known; None where a fit did not say


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is asked: operators in ideal seconds on a layout, with the engine's setting and the model's names."""

    phase: Phase
    operators: tuple[OperatorTime, ...]
    layout: Layout
    setting: Setting
    model_key: str
    architecture: str

    def effects_of(self, time: OperatorTime) -> list[tuple[Level, str]]:
        """The effects on one of its operators."""
        device = self.layout.device(time.device)
        n_gpus = len(self.layout.gpus)
        return list(
            operator_effects(time.operator, time.type_class, device, self.setting, self.phase, n_gpus)
        )

    @property
    def step_effects(self) -> list[tuple[Level, str]]:
        """The effects on the step as a whole."""
        return list(model_effects(self.phase, self.model_key, self.architecture))

    @property
    def machine_effect(self) -> tuple[Level, str] | None:
        """What this machine stretches the step by; None where main memory takes a part of a GPU's work.

        How slow the GPU is and how slow the memory cannot be told apart then: on held-out machines, what a benchmark
        taught made such steps worse.
        """
        if self.layout.is_split_with_host:
            return None
        first = self.layout.gpus[0] if self.layout.gpus else self.layout.device(HOST)
        return machine_effect(self.phase, first, len(self.layout.gpus))


@dataclass(frozen=True, kw_only=True)
class Factors:
    """All fitted effects of an engine, with when and on what they were fitted."""

    effects: tuple[Effect, ...]
    date: str = ""
    description: str = ""  # of measurements of one's own, where they have a say
    source_digest: str = ""  # of the measurements, so that a file is not scored on what it taught
    before: "Factors | None" = None  # what was known before this machine's own measurements joined
    levels_sd: Mapping[Level, float] = field(default_factory=dict)

    @cached_property
    def values(self) -> Mapping[str, float]:
        """Effects by name."""
        return {effect.name: effect.value for effect in self.effects}

    @cached_property
    def deviations(self) -> Mapping[str, float]:
        """How sure each effect's value is, by name; 0 where its fit did not say."""
        return {effect.name: effect.sd or 0.0 for effect in self.effects}

    @cached_property
    def remembered(self) -> dict[Hashable, Any]:
        """What `doubt` found out of cases before."""
        return {}

    @cached_property
    def _known(self) -> dict[Hashable, float]:
        """Factors asked for before: a sweep asks for the same few again and again."""
        return {}

    def factor(self, case: Case, time: OperatorTime) -> float:
        """By how much one operator is slower than ideal."""
        device = case.layout.device(time.device)
        key = (
            time.operator, time.type_class, device, case.setting, case.phase, len(case.layout.gpus)
        )  # fmt: skip
        if key not in self._known:
            logarithm = start_logarithm(time.operator, device, time.type_class)
            for _, name in case.effects_of(time):
                logarithm += self.values.get(name, 0.0)
            logarithm = max(-LARGEST_LOGARITHM, min(LARGEST_LOGARITHM, logarithm))
            self._known[key] = least_factor(time.operator, device) + math.exp(logarithm)
        return self._known[key]

    def seconds(self, case: Case) -> tuple[Any, ...]:
        """Expected seconds of each operator of a case, in its order; arrays where the ideal times are.

        What the model adds stretches every operator, down to its least factor at most. Columns of vectors count
        as far as reading does not hide them.
        """
        names = [name for _, name in case.step_effects]
        if case.machine_effect is not None:
            names.append(case.machine_effect[1])
        stretch = math.exp(sum(self.values.get(name, 0.0) for name in names))
        seconds = [
            time.ideal_s
            * max(
                least_factor(time.operator, case.layout.device(time.device)),
                stretch * self.factor(case, time),
            )
            for time in case.operators
        ]
        return seen_together(case.operators, seconds)

    def knows_device(self, case: Case) -> bool:
        """Whether any device of the case was measured in this phase and backend."""
        return all(
            any(
                f"all-{group}-{case.phase} {device.backend} {device.key}" in self.values
                for group in ("memory", "multiply", "launch")
            )
            for device in _used(case)
        )

    def knows_family(self, case: Case) -> bool:
        """Whether each device's family was measured in this phase and backend."""
        return all(
            any(
                f"all-{group}-{case.phase} {device.backend} {device.family}" in self.values
                for group in ("memory", "multiply", "launch")
            )
            for device in _used(case)
        )

    def knows_model(self, case: Case) -> bool:
        """Whether the model was measured in this phase, on any device."""
        return f"model-{case.phase} {case.model_key}" in self.values

    def knows_machine(self, case: Case) -> bool:
        """Whether this very machine was measured in this phase, with any model."""
        return case.machine_effect is not None and case.machine_effect[1] in self.values


def seen_together(times: Sequence[OperatorTime], seconds: Sequence[Any]) -> tuple[Any, ...]:
    """Seconds of operators by which each prolongs a step, where some run at the same time as others."""
    beside = beside_each_other(times, seconds)
    return seen_seconds([(time.device, time.operator) for time in times], beside)


def _used(case: Case) -> Sequence[Any]:
    return [case.layout.device(index) for index in sorted({time.device for time in case.operators})]
