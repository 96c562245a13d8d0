"""Measured loads correct their own deployment, as far as they share its error, and no other."""

import math
from dataclasses import replace

import pytest

from planner.api.serving_facts import serving_facts
from planner.api.serving_rows import row_reader
from planner.estimate.serving_speed.own_loads import OwnLoad, corrected, deployment_key, n_loads_of, own_load
from planner.estimate.serving_speed.served_latency import served_latencies
from planner.readers.measurements.given import Given
from tests.planner.readers.measurements.sampled import sample

(RAW,) = sample("vllm_serve.json", Given(device="2x H100 SXM", engine="vllm")).rows
ROW = row_reader().read(RAW)
(EXPECTED,) = served_latencies([ROW.deployment], serving_facts())


def strayed(tpot: float, ttft: float | None) -> OwnLoad:
    """A load of the deployment whose times are so many times what is expected."""
    return own_load(
        replace(
            ROW,
            tpot_s=EXPECTED.tpot_s.expected * tpot,
            ttft_s=None if ttft is None else EXPECTED.ttft_s.expected * ttft,
        ),
        EXPECTED,
    )


def test_one_load_moves_as_much_as_it_shares() -> None:
    found = corrected(EXPECTED, ROW.deployment, [strayed(1.4, 2.0)])
    # Shared and own parts of the time per token are alike (0.11): one load's stray counts half. Of the first token's
    # time 0.38² / (0.38² + 0.28²) = 0.648 is shared.
    assert found.tpot_s.expected / EXPECTED.tpot_s.expected == pytest.approx(1.4**0.5)
    assert found.ttft_s.expected / EXPECTED.ttft_s.expected == pytest.approx(2.0**0.648, rel=1e-3)
    assert "1 measured loads of yours" in found.tpot_s.source


def test_more_loads_count_more_and_narrow_the_interval() -> None:
    widths, moves = [], []
    for n in (0, 1, 4, 100):
        found = corrected(EXPECTED, ROW.deployment, [strayed(1.4, None)] * n)
        widths.append(math.log(found.tpot_s.high / found.tpot_s.low))
        moves.append(found.tpot_s.expected / EXPECTED.tpot_s.expected)
        assert found.tpot_s.low < found.tpot_s.expected < found.tpot_s.high
        assert found.ttft_s == EXPECTED.ttft_s  # nothing was measured of it
    assert widths == sorted(widths, reverse=True)
    assert moves == sorted(moves)
    # What is a load's own stays: 0.11² of 0.11² + 0.11², so the logarithm's width shrinks by the root of a half.
    assert widths[-1] / widths[0] == pytest.approx(math.sqrt(0.5), rel=0.01)
    assert moves[-1] == pytest.approx(1.4, rel=0.01)


def test_other_deployments_stay_as_they_are() -> None:
    load = strayed(1.4, 2.0)
    for other in (
        replace(ROW.deployment, engine="sglang"),
        replace(ROW.deployment, weight_unit="fp8"),
        replace(ROW.deployment, accelerator=replace(ROW.deployment.accelerator, id="another")),
    ):
        assert corrected(EXPECTED, other, [load]) == EXPECTED
        assert n_loads_of(other, [load]) == 0
    # Another number of requests is another load of the same deployment.
    more = replace(ROW.deployment, n_requests=64.0)
    assert deployment_key(more) == deployment_key(ROW.deployment)
    assert corrected(EXPECTED, more, [load]) != EXPECTED
