"""Fitting: what was planted is found, and spreads are quantiles."""

import math
from dataclasses import replace

import numpy as np
import pytest

from planner.engines.sharding import Parallel
from planner.estimate.serving_speed.cross_validation import leave_groups_out, rates_left_out
from planner.estimate.serving_speed.deployment import Deployment, batch
from planner.estimate.serving_speed.latency import latency
from planner.estimate.serving_speed.rate_loads import answered_per_s, rate_loads
from planner.estimate.serving_speed.rates_fit import Measured, MeasuredRates, fit_ages, fit_rates
from planner.estimate.serving_speed.served_latency import ServingFacts, served_latencies
from planner.estimate.serving_speed.spread import (
    NEW,
    Kind,
    Spread,
    kind_of,
    spread_for,
    spread_of_new_devices,
    spreads_from_rows,
    spreads_of,
)
from planner.estimate.serving_speed.step_rates import RATES, StepRates, rates_from_rows, to_line
from profiles.errors import ProfileError
from profiles.loader import calibration_rows
from tests.planner.estimate.serving_speed.questions import START, deployment


def grid(engine: str) -> list[Deployment]:
    return [
        deployment(name, ranks=Parallel(tensor=tensor), n_requests=n, n_prompt_tokens=prompt, engine=engine)
        for name in ("llama-3.1-8b-instruct", "qwen3-30b-a3b", "llama-3.1-70b-instruct")
        for tensor in (1, 2, 4)
        for n in (1, 4, 16, 64)
        for prompt in (256, 2048)
    ]


def planted(**changes: float) -> StepRates:
    by_name = {rate.name: rate for rate in RATES}
    lines = {(name, "*"): to_line(by_name[name], value) for name, value in changes.items()}
    return StepRates(summands={**START.summands, **lines})


def measured(ones: list[Deployment], rates: StepRates, noise: float = 0.0) -> Measured:
    questions = batch(ones)
    true = latency(questions, rates)
    scatter = np.exp(noise * np.random.default_rng(7).standard_normal((2, len(ones))))
    groups = [f"{one.load.network.architecture}|{one.load.network.hidden_size}|{one.engine}" for one in ones]
    return Measured(
        questions=questions, tpot_s=true.tpot_s * scatter[0], ttft_s=true.ttft_s * scatter[1], groups=groups
    )


def test_planted_rates_are_found_again() -> None:
    truth = planted(matrix_read_fraction=0.6, layer_s=6e-5, first_token_s=0.1)
    found = fit_rates(measured(grid("vllm"), truth, noise=0.02))
    back, true = (latency(batch(grid("vllm")), rates) for rates in (found, truth))
    # Nearly: a few rows of three models do not wholly outweigh what kernels reach by themselves (0.73 instead of 0.6).
    assert back.tpot_s == pytest.approx(true.tpot_s, rel=0.09)
    assert float(np.median(np.abs(back.ttft_s / true.ttft_s - 1))) < 0.05


def rated(ones: list[Deployment], rates: StepRates) -> MeasuredRates:
    n = len(ones)
    questions, loads = batch(ones), rate_loads(["loop"] * n, [1] * n, [100] * n, [False] * n)
    true = answered_per_s(loads, questions, rates, latency(questions, rates))
    groups = [f"{one.load.network.hidden_size}|{one.accelerator.id}" for one in ones]
    return MeasuredRates(questions=questions, loads=loads, tokens_per_s=true, groups=groups)


def test_rates_teach_what_no_time_was_measured_of() -> None:
    # Times of vLLM, and only rates of an engine whose layers take twice as long.
    slow = StepRates(summands={**START.summands, ("layer_s", "engine:another"): math.log(2)})
    rates = rated(grid("another"), slow)
    found = fit_rates(replace(measured(grid("vllm"), START), rates=rates))
    back, blind = (
        answered_per_s(rates.loads, rates.questions, fitted, latency(rates.questions, fitted))
        / rates.tokens_per_s
        for fitted in (found, fit_rates(measured(grid("vllm"), START)))
    )
    assert float(np.median(np.abs(back - 1))) < 0.5 * float(np.median(np.abs(blind - 1)))
    folds = rates_left_out(
        replace(measured(grid("vllm"), START), rates=rates), None, found, lambda group: len(group) % 2, 2
    )
    assert len(folds) == 2


def test_engines_of_another_age_say_nothing_of_those_of_today() -> None:
    today = fit_rates(measured(grid("vllm"), START))
    old = [replace(one, age="2024.3 vllm NVIDIA") for one in grid("vllm")]
    slow = StepRates(summands={**today.summands, ("layer_s", "age:2024.3 vllm NVIDIA"): math.log(3)})
    rates = rated(old, slow)
    found = fit_ages(replace(measured(grid("vllm"), START), rates=rates), today)
    assert {k: v for k, v in found.summands.items() if not k[1].startswith("age:")} == today.summands
    back = answered_per_s(rates.loads, rates.questions, found, latency(rates.questions, found))
    assert float(np.median(np.abs(back / rates.tokens_per_s - 1))) < 0.05


def test_wild_rows_do_not_carry_the_fit_away() -> None:
    truth = planted(matrix_read_fraction=0.6)
    clean = measured(grid("vllm"), truth)
    tpot = clean.tpot_s.copy()
    tpot[::10] *= 5  # every tenth row took five times as long
    found = fit_rates(replace(clean, tpot_s=tpot))
    back, true = (latency(clean.questions, rates).tpot_s for rates in (found, truth))
    assert float(np.median(np.abs(back / true - 1))) < 0.03


def test_a_group_is_predicted_by_a_fit_without_it() -> None:
    clean = measured(grid("vllm"), planted(layer_s=6e-5))
    wrong = np.array([group.startswith("qwen3_moe") for group in clean.groups])
    assert wrong.any()
    odd = replace(clean, tpot_s=np.where(wrong, clean.tpot_s * 3, clean.tpot_s))
    left = leave_groups_out(odd, fit_rates(odd))
    # Nobody else is three times as slow, so what was left out is found to be.
    assert float(np.median(left.tpot_log_ratios[wrong])) > 0.7 * math.log(3)


def test_gpus_that_no_fit_has_seen_stray_as_systems_do() -> None:
    # Three systems of four groups each, one of them 1.5 times as slow: groups left out are like their neighbours, whole
    # systems are not.
    systems = [system for system in "abc" for _ in range(4)]
    groups = [f"{system} {i}" for i, system in enumerate(systems)]
    rng = np.random.default_rng(3)
    ratios = [
        float(x) + (0.4 if system == "c" else 0.0)
        for x, system in zip(rng.normal(0, 0.1, 12), systems, strict=True)
    ]
    kind = kind_of("vllm", has_experts=False, has_known_settings=True)
    usual = spread_for(spreads_of("tpot", ratios, [kind] * 12, groups, "test"), "tpot", kind)
    new = spread_of_new_devices("tpot", ratios, groups, systems, "test")
    assert new is not None and new.kind == NEW and new.n_groups == 12
    assert new.high_ratio / new.low_ratio > usual.high_ratio / usual.low_ratio
    assert spread_of_new_devices("tpot", ratios[:8], groups[:8], systems[:8], "test") is None
    asked = kind_of("sglang", has_experts=True, has_known_settings=True, is_new_device=True)
    assert spread_for((usual, new), "tpot", asked) == new
    assert (
        kind_of("vllm", has_experts=True, has_known_settings=False, is_new_device=True).settings == "unknown"
    )


def test_answers_for_a_gpu_that_no_fit_has_seen_take_its_bounds() -> None:
    usual = Spread(quantity="tpot", kind=Kind(), low_ratio=0.9, high_ratio=1.1, n_groups=9, source="seen")
    new = replace(usual, kind=NEW, low_ratio=0.5, high_ratio=2.0, source="new")
    spreads = (usual, new, replace(usual, quantity="ttft"), replace(new, quantity="ttft"))
    one = deployment()
    sources = [
        served_latencies([one], ServingFacts(rates=START, spreads=spreads, devices=devices))[0].tpot_s.source
        for devices in (None, frozenset((one.accelerator.id,)), frozenset(("another",)))
    ]
    assert sources == ["seen", "seen", "new"]


def test_a_spread_counts_every_group_alike() -> None:
    # Ninety rows at 1 and nine groups of one row at e: the large group is a tenth of the weight, so the low quantile
    # is 1 and the high one e.
    ratios = [0.0] * 90 + [1.0] * 9
    groups = ["large"] * 90 + [f"small {i}" for i in range(9)]
    kind = kind_of("vllm", has_experts=False, has_known_settings=True)
    found = spread_for(spreads_of("tpot", ratios, [kind] * 99, groups, "test"), "tpot", kind)
    assert (found.kind, found.n_groups) == (kind, 10)
    assert found.high_ratio == pytest.approx(math.e)
    assert found.low_ratio < 1.6


def test_a_kind_of_few_groups_takes_the_spread_of_more_of_them() -> None:
    dense, mixture = (
        kind_of("vllm", has_experts=is_moe, has_known_settings=True) for is_moe in (False, True)
    )
    ratios, groups = [0.1, -0.1, 0.2, -0.2, 0.0], ["a", "b", "c", "d", "e"]
    found = spreads_of("ttft", ratios, [dense] * 3 + [mixture] * 2, groups, "test")
    assert {spread.kind for spread in found} == {Kind(), Kind(settings="known")}
    assert spread_for(found, "ttft", dense).kind == Kind(settings="known")
    other = kind_of("vllm", has_experts=False, has_known_settings=False)
    assert spread_for(found, "ttft", other).kind == Kind()


def test_the_packaged_rates_are_within_their_ranges() -> None:
    rates = rates_from_rows(calibration_rows("serving_steps"))
    questions = batch([deployment(engine=engine) for engine in ("vllm", "sglang", "trtllm", "another")])
    for rate in RATES:
        values = rates.value(rate.name, questions)
        assert np.all(values > 0)
        if rate.scale == "fraction":
            assert np.all(values < 1)
    spreads = spreads_from_rows(calibration_rows("serving_spread"))
    assert {spread.quantity for spread in spreads if spread.kind == Kind()} == {"tpot", "ttft", "tok_s"}


@pytest.mark.parametrize(
    "row",
    [
        {"id": "x", "rate": "no such rate", "group": "*", "summand": "1"},
        {"id": "x", "rate": "layer_s", "group": "", "summand": "1"},
        {"id": "x", "rate": "layer_s", "group": "*", "summand": "one"},
    ],
)
def test_a_broken_row_is_named(row: dict[str, str]) -> None:
    with pytest.raises(ProfileError, match=r"serving_steps\.csv, row 'x'"):
        rates_from_rows([row])


def test_a_broken_spread_is_named() -> None:
    row = {"id": "y", "quantity": "tpot", "engine": "*", "model": "*", "settings": "*", "low_ratio": "2", "high_ratio": "1", "n_groups": "3",
           "source": ""}  # fmt: skip
    with pytest.raises(ProfileError, match=r"serving_spread\.csv, row 'y'"):
        spreads_from_rows([row])
