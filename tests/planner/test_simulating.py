"""Deployments under workloads: what the answer says follows from the runs, and agrees with the search for machines."""

from dataclasses import replace
from pathlib import Path

import pytest

from planner import api
from planner.engines.sharding import Parallel
from planner.errors import MissingFactError
from planner.estimate.serving_speed.apart import Workers
from planner.sizing.simulated import SimulationAnswer, SimulationQuestion
from planner.workload.lengths import parse_lengths
from planner.workload.overrides import Overrides
from planner.workload.slo import parse_slo

MODEL, MACHINE = "llama-3.1-8b-instruct", "H100 SXM"
SHORT = SimulationQuestion(n_requests=400)
SLOTS = replace(SHORT, engine="llama.cpp", n_slots=8)
LENGTHS = Overrides(prompt=parse_lengths("200-800"), output=parse_lengths("50-150"))


def at(rate: float, **more: object) -> Overrides:
    return replace(LENGTHS, tasks_per_s=rate, **more)  # type: ignore[arg-type]


def test_a_lightly_loaded_deployment_keeps_to_its_objectives() -> None:
    answer = api.simulate(MODEL, api.workload_for("chat", at(2.0)), SHORT, on=MACHINE)
    assert all(one.is_met for one in answer.objectives)
    assert answer.refused is None and not answer.is_saturated
    assert answer.saturation is not None and answer.capacity is not None and answer.capacity.load is not None
    assert answer.load < answer.capacity.load < answer.saturation.expected
    for one in answer.times:
        assert one.seconds.low <= one.seconds.expected <= one.seconds.high
    assert answer.layout == "BF16 TP1"
    # 2 tasks a second with 100 tokens each.
    assert answer.output_tokens_per_s == pytest.approx(200, rel=0.15)
    assert answer.power_w is not None and 0 < answer.power_w < 2000


def test_percentiles_rise_with_the_load_and_the_verdict_turns() -> None:
    quiet, busy, over = (
        api.simulate(MODEL, api.workload_for("chat", at(rate)), SHORT, on=MACHINE)
        for rate in (2.0, 20.0, 2000.0)
    )
    p95 = [
        next(one.seconds.expected for one in answer.times if one.percent == 95)
        for answer in (quiet, busy, over)
    ]
    assert p95 == sorted(p95)
    assert over.is_saturated and not quiet.is_saturated
    assert not all(one.is_met for one in over.objectives)


def test_two_replicas_carry_twice_as_much_and_see_the_same() -> None:
    workload = api.workload_for("chat", at(4.0))
    one = api.simulate(MODEL, api.workload_for("chat", at(2.0)), SHORT, on=MACHINE)
    two = api.simulate(MODEL, workload, replace(SHORT, n_replicas=2), on=MACHINE)
    assert [time.seconds for time in one.times] == [time.seconds for time in two.times]
    assert one.saturation is not None and two.saturation is not None
    assert two.saturation.expected == pytest.approx(2 * one.saturation.expected)


def test_the_peak_is_the_busiest_hour() -> None:
    workload = api.workload_for("chat", at(2.0))
    answer = api.simulate(MODEL, workload, replace(SHORT, at_peak=True), on=MACHINE)
    assert answer.load == pytest.approx(2.0 * workload.traffic.peak_to_average)


def test_the_same_seed_gives_the_same_answer() -> None:
    workload = api.workload_for("chat", at(5.0))
    first, again = (api.simulate(MODEL, workload, SHORT, on=MACHINE) for _ in range(2))
    assert first == again


def test_slots_of_llama_cpp() -> None:
    workload = api.workload_for("chat", at(0.5, objectives=parse_slo("ttft p95<2s")))
    answer = api.simulate("qwen3-8b", workload, SLOTS, on="RTX 4090, 64GiB DDR5-5600")
    assert answer.policy.max_sequences == 8 and answer.policy.room == "reserved"
    assert "-np" in answer.command
    assert answer.layout == "8 slots each with 1,024 tokens"
    assert all(one.is_met for one in answer.objectives)


def test_users_have_no_saturation_but_a_largest_number() -> None:
    workload = api.workload_for("chat", replace(LENGTHS, concurrency=16))
    answer = api.simulate(MODEL, workload, SHORT, on=MACHINE)
    assert answer.unit == "users" and answer.saturation is None
    assert answer.capacity is not None and answer.capacity.load is not None and answer.capacity.load > 16


def test_agents_find_what_their_earlier_calls_left() -> None:
    workload = api.workload_for("coding-agent", Overrides(tasks_per_s=0.01))
    answer = api.simulate("qwen3-coder-30b-a3b-instruct", workload, SHORT, on="2x H200 SXM")
    hits = sum(one.n_prefix_hit_tokens for one in answer.run.requests)
    prompts = sum(one.n_prompt_tokens for one in answer.run.requests)
    assert hits / prompts > 0.6


def test_what_does_not_start_says_so_with_the_engines_reason() -> None:
    workload = api.workload_for("chat", at(1.0))
    with pytest.raises(MissingFactError, match="TP1: does not start: "):
        api.simulate("llama-3.3-70b-instruct", workload, replace(SHORT, ranks=Parallel()), on="H100 SXM")
    with pytest.raises(MissingFactError, match="does not fit"):
        api.simulate("llama-3.3-70b-instruct", workload, SLOTS, on="RTX 4090, 16GiB")


def test_requests_longer_than_the_context_are_refused_before_anything_is_simulated() -> None:
    workload = api.workload_for("chat", replace(LENGTHS, prompt=parse_lengths("200000"), tasks_per_s=1.0))
    with pytest.raises(MissingFactError, match="longer than 131,072 tokens"):
        api.simulate(MODEL, workload, SHORT, on=MACHINE)


def test_prompts_read_apart_leave_the_time_per_token_alone() -> None:
    workload = api.workload_for("rag", Overrides(tasks_per_s=1.5))
    ranks = Parallel(tensor=4)
    apart = (Workers(count=1, ranks=ranks), Workers(count=1, ranks=ranks))
    together = api.simulate("llama-3.3-70b-instruct", workload, replace(SHORT, ranks=ranks), on="8x H100 SXM")
    parted = api.simulate("llama-3.3-70b-instruct", workload, replace(SHORT, apart=apart), on="8x H100 SXM")

    def p95(answer: SimulationAnswer, measure: str) -> float:
        return next(t.seconds.expected for t in answer.times if (t.measure, t.percent) == (measure, 95))

    assert p95(parted, "tpot") < p95(together, "tpot")
    assert parted.layout == "BF16 1 × TP4 to read + 1 × TP4 to decode"
    assert parted.saturation is not None and parted.capacity is not None


def test_workers_apart_need_gpus_and_a_network_between_machines() -> None:
    workload = api.workload_for("rag", Overrides(tasks_per_s=1.0))
    ranks = Parallel(tensor=8)
    apart = (Workers(count=1, ranks=ranks), Workers(count=1, ranks=ranks))
    with pytest.raises(MissingFactError, match="take 16 GPUs, 8x H100 SXM has 8"):
        api.simulate("llama-3.3-70b-instruct", workload, replace(SHORT, apart=apart), on="8x H100 SXM")


def test_a_trace_is_served_at_its_own_times_or_at_another_rate(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    # Ten at once every ten seconds: one per second in the mean.
    rows = "".join(f"{index // 10 * 10},600,50\n" for index in range(300))
    path.write_text(f"arrival_s,n_prompt_tokens,n_output_tokens\n{rows}", encoding="utf-8")
    workload = api.workload_for("chat")
    own = api.simulate(MODEL, workload, SHORT, on=MACHINE, trace=path)
    assert own.load == pytest.approx(299 / 290, rel=1e-4)
    assert len(own.run.requests) == 300
    starts = sorted({times.arrival_s for times in own.run.requests})
    assert starts[:3] == pytest.approx([0, 10, 20], rel=1e-4)
    faster = api.simulate(
        MODEL, api.workload_for("chat", Overrides(tasks_per_s=4.0)), SHORT, on=MACHINE, trace=path
    )
    assert faster.run.end_s == pytest.approx(own.run.end_s * own.load / 4.0, rel=0.05)
    with pytest.raises(MissingFactError, match="give --rps, not --users"):
        api.simulate(MODEL, api.workload_for("chat", Overrides(concurrency=3)), SHORT, on=MACHINE, trace=path)
