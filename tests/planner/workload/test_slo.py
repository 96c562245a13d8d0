"""Service objectives as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.workload.slo import parse_slo
from planner.workload.workload import Objective


def test_objectives_are_read_with_their_units() -> None:
    assert parse_slo("TTFT p95 < 1s, tpot p99.9<=40ms, e2e p50<2min") == (
        Objective(measure="ttft", quantile=0.95, limit_s=1.0),
        Objective(measure="tpot", quantile=0.999, limit_s=0.04),
        Objective(measure="e2e", quantile=0.5, limit_s=120.0),
    )


@given(
    st.sampled_from(("ttft", "tpot", "e2e")),
    st.integers(1, 999),
    st.integers(1, 10**7),
)
def test_an_objective_written_in_full_is_read_back(measure: str, permille: int, limit_ms: int) -> None:
    objective = Objective(measure=measure, quantile=permille / 1000, limit_s=limit_ms / 1000)  # type: ignore[arg-type]
    (found,) = parse_slo(objective.exact)
    assert found.measure == objective.measure
    assert found.quantile == pytest.approx(objective.quantile, abs=1e-9)
    assert found.limit_s == pytest.approx(objective.limit_s, rel=1e-12)


@pytest.mark.parametrize(
    "text", ["", "ttft<1s", "ttft p95<1", "ttft p95>1s", "ttft p0<1s", "ttft p95<0s", "p95<1s"]
)
def test_what_is_no_objective_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"objective|percentile"):
        parse_slo(text)


def test_an_unknown_measure_and_a_double_one_are_named() -> None:
    with pytest.raises(ValueError, match=r"'itl' is nothing .* knows ttft, tpot, e2e"):
        parse_slo("itl p95<40ms")
    with pytest.raises(ValueError, match="ttft p95 stands twice"):
        parse_slo("ttft p95<1s, ttft p95<2s")
