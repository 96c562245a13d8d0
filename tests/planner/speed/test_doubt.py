"""What is open of a case: the spread of effects nobody measured, as far as they move this very step."""

import math
from dataclasses import replace

import numpy as np
import pytest

from planner.speed.device import SpeedDevice
from planner.speed.doubt import doubt
from planner.speed.factors import Case, Effect, Factors
from planner.speed.intervals import Doubt
from planner.speed.operators import decode_operators, layout_on_one
from planner.speed.priors import SPREAD_SD, SpreadKind, spread_kind
from planner.speed.setting import CURRENT
from tests.planner.speed.cases import GPU, dense


def case(device: SpeedDevice = GPU, layer_bytes: float = 1e9, depth: object = 0) -> Case:
    layout = layout_on_one(device, 4)
    model = dense(layer_bytes=layer_bytes)
    operators = decode_operators(model, layout, depth)
    return Case(
        phase="decode", operators=operators, layout=layout, setting=CURRENT, model_key="test 1.00",
        architecture="test",
    )  # fmt: skip


def every_effect(asked: Case, sd: float) -> tuple[Effect, ...]:
    """All effects on a case as measured ones, each at 0."""
    names = {name: level for time in asked.operators for level, name in asked.effects_of(time)}
    names |= {name: level for level, name in asked.step_effects}
    return tuple(
        Effect(name=name, level=level, value=0.0, n_measurements=9, n_devices=3, sd=sd)
        for name, level in names.items()
    )


def found(effects: tuple[Effect, ...], asked: Case) -> Doubt:
    factors = Factors(effects=effects)
    return doubt(factors, asked, factors.seconds(asked))


def test_doubt_is_the_spread_of_log_time_that_open_effects_make() -> None:
    asked = case(depth=4000)
    kinds: dict[str, SpreadKind] = {}
    for time in asked.operators:
        for _, name in asked.effects_of(time):
            kinds.setdefault(name, spread_kind(time.operator))  # as the fit has it: of the first operator

    def log_s(name: str, value: float) -> float:
        moved = Effect(name=name, level="device", value=value, n_measurements=1, n_devices=1)
        return math.log(sum(Factors(effects=(moved,)).seconds(asked)))

    # The derivatives by each effect from the model itself, moved a little to either side.
    variance = 0.0
    for effect in every_effect(asked, 0.0):
        if effect.name in kinds:
            slope = (log_s(effect.name, 1e-4) - log_s(effect.name, -1e-4)) / 2e-4
            variance += slope**2 * SPREAD_SD[effect.level, kinds[effect.name]] ** 2
    open_ = found((), asked)
    assert open_.machine == pytest.approx(variance**0.5, rel=1e-4)
    # Model and architecture stretch the whole step: 0.1² + 0.08².
    assert open_.model == pytest.approx(math.hypot(0.1, 0.08))
    assert open_.known == 0


def test_nothing_is_open_where_everything_was_measured() -> None:
    asked = case()
    sure = found(every_effect(asked, 0.02), asked)
    assert (sure.machine, sure.model) == (0, 0)
    assert sure.known > 0
    assert found(every_effect(asked, 0.04), asked).known == pytest.approx(2 * sure.known)


def test_a_new_device_of_a_known_family_opens_less_than_a_new_family() -> None:
    known = every_effect(case(), 0.02)
    sibling = found(known, case(replace(GPU, key="sibling")))
    stranger = found(known, case(replace(GPU, key="stranger", architecture="Volta")))
    assert 0 < sibling.machine < stranger.machine
    assert sibling.model == 0


def test_a_small_model_doubts_launches_and_a_large_one_reading() -> None:
    known = tuple(effect for effect in every_effect(case(), 0.0) if "launch" not in effect.name)
    assert found(known, case(layer_bytes=1e6)).machine > 2 * found(known, case(layer_bytes=1e9)).machine


def test_arrays_of_depths_give_what_each_gives_alone() -> None:
    known = tuple(effect for effect in every_effect(case(), 0.03) if "cache" not in effect.name)
    depths = [0, 500, 100_000]
    together = found(known, case(depth=np.array(depths)))
    alone = [found(known, case(depth=depth)) for depth in depths]
    assert together.machine == pytest.approx([one.machine for one in alone])
    assert together.known == pytest.approx([one.known for one in alone])
