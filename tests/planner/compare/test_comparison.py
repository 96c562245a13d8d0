"""Options put side by side: the cheapest first, what may not be left out by name, and what decides."""

from dataclasses import replace

import pytest

from planner.compare.comparison import Comparison, compare
from planner.compare.constraints import Constraints
from planner.compare.month_load import SECONDS_PER_MONTH
from planner.errors import PriceError
from planner.workload.lengths import parse_lengths
from planner.workload.workload import Traffic, Workload
from tests.planner.compare.scenarios import HALF_AND_HALF, api, bought, scenario

WORKLOAD = Workload(
    name="test", prompt=parse_lengths("1000"), output=parse_lengths("200"),
    traffic=Traffic(tasks_per_s=120_000 / SECONDS_PER_MONTH),
)  # fmt: skip


def compared(
    usd_per_task: float = 0.05, constraints: Constraints | None = None, growth: float = 0.0
) -> Comparison:
    asked = scenario(120_000, 36, growth=growth, load=HALF_AND_HALF)
    own = (bought(usd=60_000), bought(deal="on-demand"), bought(deal="reserved"))
    dear = replace(api(usd_per_task * 2), name="dear/model", provider="dear", region="US")
    return compare(
        WORKLOAD, asked, own, (api(usd_per_task), dear), model="model", constraints=constraints, n_cases=200
    )


def test_options_stand_in_the_order_of_what_they_cost() -> None:
    found = compared()
    costs = [option.flow.npv_usd for option in found.options]
    assert costs == sorted(costs)
    assert {option.month.kind for option in found.options} == {"own", "hybrid", "api"}
    # Two bought machines cost less than the API takes for the peaks of one: that mixture leaves the API nothing to do.
    assert len(found.options) == 3 + 2 + 2
    assert all(duel.api.name == "host/model" for duel in found.duels)  # the cheaper of the two


def test_a_cheap_api_wins_and_a_dear_one_does_not() -> None:
    assert compared(0.005).verdict == "api"
    assert compared(0.5).verdict in ("own", "hybrid")
    cheap, dear = compared(0.005).duel, compared(0.5).duel
    assert cheap is not None
    assert dear is not None
    assert cheap.usd_saved < 0 < dear.usd_saved
    assert cheap.cheaper_from_month is None
    assert dear.cheaper_from_month == 1


def test_growth_brings_the_break_even() -> None:
    # At 0.027 a task the API takes 3,300 a month for 120,000 tasks, two machines 3,640; tenfold after three years, a machine
    # serves 66,667 tasks (200,000 / 3 in the busy hours) for about 1,600 and saves 1,800.
    found = next(duel for duel in compared(0.027, growth=1.2).duels if duel.own.name == "one machine, buy")
    assert found.cheaper_from_month is not None
    assert 12 < found.cheaper_from_month < 36
    assert found.own.flow.n_units[-1] > found.own.flow.n_units[0]


def test_data_that_stays_leaves_apis_out_by_name() -> None:
    found = compared(constraints=Constraints(custody="rented"))
    assert {one.name for one in found.excluded} == {"host/model", "dear/model"}
    assert "prompts would be sent to host" in found.excluded[0].reason
    assert {option.month.kind for option in found.options} == {"own"}
    assert found.duels == ()
    assert found.duel is None


def test_data_on_bought_machines_leaves_rent_out_too() -> None:
    found = compared(constraints=Constraints(custody="bought"))
    assert [option.name for option in found.options] == ["one machine, buy"]


def test_a_region_leaves_out_those_elsewhere_and_those_unknown() -> None:
    found = compared(constraints=Constraints(regions=("EU",)))
    reasons = {one.name: one.reason for one in found.excluded}
    assert "is not known" in reasons["host/model"]
    assert "in US" in reasons["dear/model"]


def test_a_limit_on_what_is_paid_at_once() -> None:
    found = compared(constraints=Constraints(most_upfront_usd=100_000))
    # 120,000 tasks at 1.5 times the mean take two machines of 60,000.
    assert [one.name for one in found.excluded] == ["one machine, buy"]
    assert "2 machines cost $120,000 at once" in found.excluded[0].reason


def test_nothing_left_is_an_error_that_names_the_reasons() -> None:
    with pytest.raises(PriceError, match="no option is left to compare: host/model"):
        compare(WORKLOAD, scenario(1_000), (), (api(),), model="m", constraints=Constraints(custody="bought"))


def test_break_even_utilisation_by_hand() -> None:
    duel = next(duel for duel in compared().duels if duel.own.name == "one machine, buy")
    utilisation = duel.break_even_utilisation
    assert utilisation is not None
    # At that use the two machines cost what the API does: the share of 200,000 tasks times its price, with its people.
    months = duel.own.month
    fixed = sum(term.value for term in months.terms if "working" not in term.name)
    working = sum(term.value for term in months.terms if "working" in term.name) / months.tasks
    tasks = utilisation * 200_000
    people = next(term.value for term in duel.api.month.terms if term.name == "people: API")
    assert fixed + working * tasks == pytest.approx(0.05 * tasks + people)


def test_spare_capacity_is_worth_what_the_api_would_take() -> None:
    duel = next(duel for duel in compared().duels if duel.own.name == "one machine, buy")
    assert duel.spare_worth_usd == pytest.approx(80_000 * 0.05)


def test_falling_rents_bring_the_break_even_too() -> None:
    # The API at 0.035 a task takes 4,260 a month, two machines on demand 6,400 or so; rents halve in a year.
    asked = scenario(120_000, 36, load=HALF_AND_HALF, rent_price_decline_per_year=0.5)
    found = compare(WORKLOAD, asked, (bought(deal="on-demand"),), (api(0.035),), model="m", n_cases=100)
    duel = next(duel for duel in found.duels if duel.own.month.kind == "own")
    assert duel.own.month.usd > duel.api.month.usd
    assert duel.cheaper_from_month is not None
    assert 2 < duel.cheaper_from_month < 30
    steady = scenario(120_000, 36, load=HALF_AND_HALF)
    none = compare(WORKLOAD, steady, (bought(deal="on-demand"),), (api(0.035),), model="m", n_cases=100)
    assert all(duel.cheaper_from_month is None for duel in none.duels if duel.own.month.kind == "own")
