"""Batches measured here: the correction at them, between them and beyond."""

from dataclasses import replace

import pytest

from hardware.spec import Basis
from planner.engines.llama_cpp import LlamaCppFlags
from planner.estimate.local import LocalRates
from planner.estimate.measurement import Measurement
from planner.estimate.own_batches import OwnBatch, with_own_batches
from planner.estimate.placement import place
from planner.estimate.speed import decode_speed
from planner.estimate.term import Interval
from tests.planner.estimate.machines import machine
from tests.planner.estimate.models import model
from tests.planner.estimate.test_several_tokens import FACTS
from tests.planner.estimate.test_speed import bench_run

MODELLED = Interval(low=70.0, expected=100.0, high=150.0, basis=Basis.DERIVED, source="the model")
BATCHES = (
    OwnBatch(n_sequences=4, ratio=0.8, low=0.95, high=1.05, source="x4"),
    OwnBatch(n_sequences=16, ratio=0.5, low=0.9, high=1.1, source="x16"),
)


def test_without_a_measured_batch_the_model_stands() -> None:
    assert with_own_batches(MODELLED, 4, ()) is MODELLED


def test_at_a_measured_batch_the_measurement_stands() -> None:
    found = with_own_batches(MODELLED, 4, BATCHES)
    assert [found.low, found.expected, found.high] == pytest.approx([76, 80, 84])
    assert found.source == "x4"


def test_between_batches_the_correction_runs_on_a_line_in_the_logarithm() -> None:
    # 8 lies half-way from 4 to 16: ratio 0.65, with the wider of both doubts; 2 half-way from one sequence to 4.
    found = with_own_batches(MODELLED, 8, BATCHES)
    assert [found.low, found.expected, found.high] == pytest.approx([65 * 0.9, 65, 65 * 1.1])
    assert with_own_batches(MODELLED, 2, BATCHES).expected == pytest.approx(90)


def test_beyond_the_largest_batch_the_models_own_doubt_is_kept() -> None:
    found = with_own_batches(MODELLED, 64, BATCHES)
    assert [found.low, found.expected, found.high] == pytest.approx([35, 50, 75])


def test_a_benchmarked_batch_is_the_estimate_of_its_file() -> None:
    # 1,024 tokens in 20 s at a mean depth of 64, of eight sequences: 51.2 a second.
    found = replace(model("llama"), fingerprint="f")
    run = bench_run(found, fingerprint="f", tg_s=12.8, pp_s=5.12)
    batch = Measurement(
        phase="decode", n_prompt_tokens=0, n_generated_tokens=128, n_depth_tokens=0, n_sequences=8,
        samples_s=(20.0,) * 5,
    )  # fmt: skip
    run = replace(run, measurements=(*run.measurements, batch))
    box = machine()
    facts = replace(FACTS, local=LocalRates(runs=(run,)))
    placement = place(found, box, LlamaCppFlags(n_context_tokens=8192, n_sequences=8))
    estimate = decode_speed(found, placement, box, facts, 64, 8).tokens_per_s
    assert estimate is not None
    assert estimate.expected == pytest.approx(51.2)
    assert estimate.low == pytest.approx(51.2 * 0.97)
