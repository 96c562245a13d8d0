"""`planner.api.sizing.size`: what it returns starts and keeps to its objectives, and does not jump."""

from dataclasses import replace
from typing import Any

import pytest

from hardware.units import HOURS_PER_MONTH
from planner.api.machine_offers import offered_machines, priced_machines
from planner.api.models import open_model
from planner.api.serving_facts import serving_facts
from planner.api.serving_fit import fit_vllm, model_as_served
from planner.api.serving_machines import serving_machines
from planner.api.serving_speeds import serving_deployment
from planner.api.sizing import size
from planner.engines.vllm.settings import VllmSettings
from planner.errors import MissingFactError
from planner.estimate.served.answer import ServingLoad
from planner.estimate.serving_speed.step_timer import serving_step_timer
from planner.simulate.policy import Policy
from planner.simulate.simulator import simulate
from planner.sizing.counts import Window
from planner.sizing.option import Option, Plan
from planner.sizing.question import Limits, SizingQuestion
from planner.sizing.replica import percentile_s
from planner.sizing.sampled_load import sampled_load
from planner.workload.lengths import parse_lengths
from planner.workload.slo import parse_slo
from planner.workload.workload import Traffic, Workload

N = 300
CHAT = Workload(
    name="chat", prompt=parse_lengths("lognormal:700:0.8:4000"), output=parse_lengths("lognormal:180:0.5:800"),
    traffic=Traffic(tasks_per_s=6.0), objectives=parse_slo("ttft p95<1s, tpot p95<50ms"),
)  # fmt: skip


def plan(*machines: str, model: str = "qwen3-32b", workload: Workload = CHAT, **question: Any) -> Plan:
    return size(
        model,
        workload,
        SizingQuestion(n_requests=N, **question),
        machines=offered_machines(machines, None, "on-demand"),
        are_named=True,
    )


def at(tasks_per_s: float, slo: str = "ttft p95<1s, tpot p95<50ms") -> Workload:
    return replace(CHAT, traffic=Traffic(tasks_per_s=tasks_per_s), objectives=parse_slo(slo))


def test_70b_in_fp8_does_not_start_on_one_80_gb_h100() -> None:
    # 70.6 billion parameters, of which 68.5 in FP8 and two tables of 1.05 in BF16: 67.7 GiB of the 72.8 that the engine
    # may use of 79.2, and what is left holds no request of 15k beside the activations.
    longer = replace(CHAT, prompt=parse_lengths("12000-15000"))
    found = plan("H100 SXM", model="llama-3.3-70b-instruct", workload=longer)
    assert found.options == () and found.best is None
    fp8 = next(one for one in found.rejections if one.layout == "FP8 TP1")
    assert fp8.stage == "memory"
    assert fp8.reason.startswith(
        "does not start: the KV cache cannot hold one request of 15,360 tokens; the longest"
    )
    # Of requests of 5k it might hold one, or not: that is no answer either.
    shorter = plan("H100 SXM", model="llama-3.3-70b-instruct")
    assert shorter.options == ()
    assert next(one for one in shorter.rejections if one.layout == "FP8 TP1").stage == "memory"


@pytest.fixture(scope="module")
def found() -> Plan:
    return size("qwen3-32b", CHAT, SizingQuestion(n_requests=N), machines=priced_machines("on-demand"))


def test_many_machines_are_looked_at_and_the_cheapest_is_first(found: Plan) -> None:
    assert found.n_machines_looked_at >= 20
    measured = [one.usd_per_month.expected for one in found.options if one.is_measured and one.usd_per_month]
    assert measured == sorted(measured) and measured
    assert found.options[0] in found.front
    assert [one.is_measured for one in found.options] == sorted(
        (one.is_measured for one in found.options), reverse=True
    )


def test_no_option_fails_to_start(found: Plan) -> None:
    for option in found.options:
        layout = option.layout
        settings = VllmSettings(
            parallel=layout.parallel, max_model_len=layout.max_model_len, quantization=layout.quantization
        )
        answer = fit_vllm("qwen3-32b", settings, on=option.offer.description, splits=(layout.parallel,))
        assert answer.rows[0].memory.starts and answer.rows[0].memory.starts_at_low
        assert answer.rows[0].command == layout.command
        assert answer.rows[0].memory.capacity.n_tokens == layout.kv_tokens


def test_no_option_breaks_an_objective(found: Plan) -> None:
    for option in found.options:
        assert option.headroom >= -1e-9
        assert all(
            one.is_met and one.seconds.low <= one.seconds.expected <= one.seconds.high for one in option.seen
        )
        for objective, seconds in zip(CHAT.objectives, again(option, 0), strict=True):
            assert seconds <= objective.limit_s


def test_other_draws_of_the_workload_say_the_same(found: Plan) -> None:
    # Percentiles of 1,600 requests stray by some per cent; more than a tenth beyond a limit is no longer chance.
    for option in found.options:
        for objective, seconds in zip(CHAT.objectives, again(option, 1, n_requests=6400), strict=True):
            assert seconds <= 1.1 * objective.limit_s


def again(option: Option, seed: int, n_requests: int = 1600) -> list[float]:
    """Percentiles of a replica at its share of the peak, put together from the engine's parts once more."""
    layout = option.layout
    machines = serving_machines(option.offer.description)
    model, _ = model_as_served(open_model("qwen3-32b"), layout.quantization)
    deployment = serving_deployment(
        model,
        machines,
        layout.engine,
        layout.parallel,
        "auto",
        ServingLoad(n_prompt_tokens=900, n_output_tokens=200),
    )
    timer = serving_step_timer(
        deployment,
        serving_facts(),
        max_sequences=layout.max_sequences,
        max_batched_tokens=layout.max_batched_tokens,
    )
    policy = Policy(
        max_sequences=layout.max_sequences, max_batched_tokens=layout.max_batched_tokens, kv_tokens=layout.kv_tokens,
        prefix_cache=True,
    )  # fmt: skip
    drawn = sampled_load(CHAT, N, seed).longer(n_requests).drawn(option.peak / option.n_replicas)
    result = simulate(policy, timer, drawn.first(), next_requests=drawn.following)
    return [percentile_s(result, one, timer.first_token_s) for one in CHAT.objectives]


def test_more_traffic_never_needs_fewer_machines() -> None:
    numbers = []
    for rate in (0.5, 2.0, 3.1, 5.0, 9.0, 14.0, 40.0):
        (option,) = plan("2x H100 SXM", workload=at(rate)).options
        numbers.append(option.n_machines)
        assert option.capacity >= option.peak * (1 - 1e-9)
    assert numbers == sorted(numbers) and numbers[-1] > numbers[0]


def test_a_looser_objective_never_costs_more() -> None:
    costs = []
    for ttft, tpot in ((0.3, 25), (0.5, 25), (0.5, 30), (0.8, 40), (1, 50), (2, 50), (4, 100), (20, 400)):
        options = plan(
            "H100 SXM", "2x H100 SXM", workload=at(30.0, f"ttft p95<{ttft}s, tpot p95<{tpot}ms")
        ).options
        costs.append(min((one.usd_per_month.expected for one in options if one.usd_per_month), default=1e12))
    assert costs == sorted(costs, reverse=True) and costs[-1] < costs[0]


def test_spares_cost_a_machine_each_and_change_nothing_else() -> None:
    bare, spared = (plan("2x H100 SXM", n_spare_machines=n).options[0] for n in (0, 2))
    assert spared.n_machines == bare.n_machines and spared.capacity == bare.capacity
    assert spared.n_all_machines == bare.n_all_machines + 2
    assert bare.usd_per_month is not None and spared.usd_per_month is not None
    each = bare.usd_per_month.expected / bare.n_all_machines
    assert spared.usd_per_month.expected == pytest.approx(each * spared.n_all_machines)


def test_the_low_end_of_speeds_needs_no_fewer_machines() -> None:
    expected, careful = (
        plan("H100 SXM", workload=at(30.0), sized_for=end).options[0] for end in ("expected", "low")
    )
    assert careful.capacity_per_replica < expected.capacity_per_replica
    assert careful.n_machines >= expected.n_machines
    assert all(one.is_met_at_high for one in careful.seen)


def test_limits_of_a_batch_are_tried() -> None:
    # Eight at once carry less than the engine's own limit, so that is chosen; with eight alone it is what the command says.
    few, own = Limits(max_sequences=8), Limits()
    both = plan("H100 SXM", workload=at(20.0), limits=(few, own)).options[0]
    alone = plan("H100 SXM", workload=at(20.0), limits=(few,)).options[0]
    assert both.layout.max_sequences > 8
    assert alone.layout.max_sequences == 8 and "--max-num-seqs" in alone.layout.command
    assert alone.n_machines > both.n_machines


def test_machines_at_hand_and_budgets_are_asked_what_they_carry() -> None:
    question = SizingQuestion(n_requests=N, n_spare_machines=1)
    owned = size(
        "qwen3-32b", CHAT, question, machines=offered_machines((), "3x DGX H100", "on-demand"), are_named=True
    )
    option = owned.options[0]
    assert owned.goal == "most load" and option.offer.deal == "owned" and option.usd_per_month is None
    assert (option.n_machines, option.n_spare_machines) == (2, 1)
    assert option.peak == pytest.approx(option.capacity) and option.utilisation_at_peak == pytest.approx(1.0)
    loads = []
    for budget in (500.0, 3_000.0, 9_000.0, 20_000.0):
        best = plan("H100 SXM", usd_per_month=budget).best
        loads.append(0.0 if best is None else best.peak)
        assert best is None or (best.usd_per_month is not None and best.usd_per_month.expected <= budget)
    assert loads[0] == 0.0 and loads == sorted(loads) and loads[-1] > loads[1]
    (refused,) = (one for one in plan("H100 SXM", usd_per_month=500.0).rejections if one.stage == "price")
    assert "a month, more than $500" in refused.reason


def test_work_that_nobody_waits_for_is_paid_by_the_hour() -> None:
    nightly = replace(CHAT, objectives=())
    (option,) = plan("H100 SXM", workload=nightly, window=Window(hours_per_day=6)).options
    assert option.peak == pytest.approx(24.0)  # 6 a second over 24 hours, done in 6
    assert option.hours_per_month == pytest.approx(HOURS_PER_MONTH * 6.0 / option.capacity)
    (kept,) = plan(
        "H100 SXM", workload=nightly, window=Window(hours_per_day=6, stops_when_idle=False)
    ).options
    assert kept.hours_per_month == pytest.approx(HOURS_PER_MONTH / 4)
    assert kept.n_machines == option.n_machines


def test_users_are_carried_too() -> None:
    (option,) = plan("H100 SXM", workload=replace(CHAT, traffic=Traffic(concurrency=200))).options
    assert option.unit == "users" and option.capacity >= 200


def test_both_engines_are_searched() -> None:
    found = plan("2x H100 SXM", engines=("sglang",))
    assert found.best is not None and found.best.layout.command[:3] == (
        "python",
        "-m",
        "sglang.launch_server",
    )


def test_requests_that_are_longer_than_the_model_are_turned_away_or_refused() -> None:
    long = replace(CHAT, prompt=parse_lengths("39000-42000"))
    with pytest.raises(MissingFactError, match="% of the requests are longer than 40,960 tokens"):
        plan("8x H100 SXM", workload=long)
    few = replace(CHAT, prompt=parse_lengths("lognormal:700:0.8:60000"))
    found = plan("8x H100 SXM", workload=few, max_model_len=5_000)
    assert any("are longer than 5,000 tokens and are turned away" in note for note in found.notes)


def test_a_model_for_no_single_machine_goes_over_two() -> None:
    # 671 billion parameters in FP8 are more than 8 × 80 GB; two machines cost and draw twice as much as one.
    found = plan("DGX H100", "2x DGX H100", model="deepseek-v3", workload=at(1.0, "tpot p95<100ms"))
    (option,) = found.options
    assert (option.offer.n_nodes, option.offer.n_gpus, option.layout.n_gpus) == (2, 16, 16)
    one = offered_machines(("DGX H100",), None, "on-demand")[0].offer
    assert one.usd_per_hour is not None and option.usd_per_month is not None
    assert option.usd_per_month.expected == pytest.approx(
        2 * one.usd_per_hour.expected * HOURS_PER_MONTH * option.n_machines
    )
    assert {one.stage for one in found.rejections if one.machine == "DGX H100"} == {"memory"}
