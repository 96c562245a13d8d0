"""Pipelines: how often each stage is called, and what all of them cost."""

from dataclasses import replace

import pytest

from planner.compare.month import api_month
from planner.compare.pipeline import Stage, pipelines, visits
from planner.errors import PriceError
from tests.planner.compare.scenarios import HALF_AND_HALF, api, bought, scenario


def stage(name: str, *options: object, **passes: float) -> Stage:
    return Stage(name=name, options=options or (api(),), passes=passes)  # type: ignore[arg-type]


def test_shares_multiply_along_the_way() -> None:
    # 80 % to the worker, 20 % to the expert; all of the worker's and half of the expert's go to the checker.
    found = visits(
        {
            "router": {"worker": 0.8, "expert": 0.2},
            "worker": {"checker": 1.0},
            "expert": {"checker": 0.5},
            "checker": {},
        }
    )
    assert found == pytest.approx({"router": 1, "worker": 0.8, "expert": 0.2, "checker": 0.9})


def test_a_checker_that_sends_work_back_is_counted_to_the_end() -> None:
    # A tenth comes back each time: 1 + 0.1 + 0.01 + … = 1 / 0.9.
    found = visits({"worker": {"checker": 1.0}, "checker": {"worker": 0.1}})
    assert found == pytest.approx({"worker": 1 / 0.9, "checker": 1 / 0.9})


@pytest.mark.parametrize(
    ("stages", "says"),
    [
        ([stage("a", b=1.0), stage("b", a=1.0)], "never ends"),
        ([stage("a", b=2.0), stage("b", a=0.6)], "never ends"),
        ([stage("a", c=1.0)], "which is no stage"),
        ([stage("a"), stage("a")], "names of their own"),
    ],
)
def test_what_cannot_run_is_refused(stages: list[Stage], says: str) -> None:
    with pytest.raises(PriceError, match=says):
        pipelines(stages, scenario(1_000))


def test_a_pipeline_of_apis_by_hand() -> None:
    # 10,000 tasks: 10,000 calls at 0.001, 8,000 at 0.01 and 2,000 at 0.1, and one person for all APIs.
    cheap, middle, dear = api(0.001), api(0.01), api(0.1)
    asked = scenario(10_000, load=HALF_AND_HALF)
    people = api_month(cheap, asked).usd - 10
    (found,) = pipelines(
        [stage("router", cheap, worker=0.8, expert=0.2), stage("worker", middle), stage("expert", dear)],
        asked,
    )
    assert found.usd == pytest.approx(10 + 80 + 200 + people)
    assert sum(term.value for term in found.terms) == pytest.approx(found.usd)
    assert {term.name for term in found.terms} >= {"router: input", "expert: output", "people: API"}


def test_each_stage_is_tried_on_own_machines_and_apis_and_the_cheapest_comes_first() -> None:
    asked = scenario(100_000)
    own, hosted, dear = bought(), api(0.05), replace(api(0.5), name="dear")
    found = pipelines([stage("worker", own, hosted, checker=0.1), stage("checker", own, dear)], asked)
    assert len(found) == 4
    assert [month.usd for month in found] == sorted(month.usd for month in found)
    # People who look after own machines are paid once, though two stages have some.
    both_own = next(month for month in found if all(one.month.own is not None for one in month.stages))
    assert sum(term.name == "people: operations" for term in both_own.terms) == 1


def test_too_many_combinations_are_refused() -> None:
    many = tuple(replace(api(), name=str(index)) for index in range(20))
    with pytest.raises(PriceError, match="at most 4,096"):
        pipelines([stage("a", *many), stage("b", *many), stage("c", *many)], scenario(1_000))
