"""The speed of a machine in a comparison: what the search for layouts finds, or llama.cpp's where nothing serves."""

from dataclasses import replace

import pytest

from hardware.described import describe_machine
from planner.api.machine_offers import offered_machine
from planner.api.own_capacity import llama_cpp_capacity, own_capacity, serving_capacity
from planner.api.sizing import size
from planner.api.workloads import workload_for
from planner.errors import PlannerError
from planner.sizing.question import SizingQuestion
from planner.workload.overrides import Overrides

CHAT = workload_for("chat", Overrides(tasks_per_s=1.0))
H100 = describe_machine("2x H100 SXM")


def test_a_machine_serves_what_planner_size_says() -> None:
    found = serving_capacity("llama-3.1-8b-instruct", H100, CHAT, "vllm")
    plan = size(
        "llama-3.1-8b-instruct",
        CHAT,
        SizingQuestion(),
        machines=(offered_machine(H100, "x", "owned"),),
        are_named=True,
    )
    best = plan.best
    assert best is not None
    assert found.tasks_per_s.value == best.capacity_per_replica * best.replicas_per_machine
    low, high = found.tasks_per_s.low, found.tasks_per_s.high
    assert low is not None
    assert high is not None
    assert low < found.tasks_per_s.value < high


def test_a_looser_objective_never_serves_less() -> None:
    strict = workload_for("chat", Overrides(tasks_per_s=1.0))
    loose = replace(strict, objectives=())
    a = serving_capacity("llama-3.1-8b-instruct", H100, strict, "vllm").tasks_per_s.value
    assert serving_capacity("llama-3.1-8b-instruct", H100, loose, "vllm").tasks_per_s.value >= a


def test_where_nothing_serves_llama_cpp_is_taken_and_said() -> None:
    mac = describe_machine("Mac Studio M3 Ultra 512GB")
    found = own_capacity("llama-3.1-8b-instruct", mac, CHAT)
    assert "one call at a time" in found.layout
    assert any("no serving engine" in note for note in found.notes)
    alone = llama_cpp_capacity("llama-3.1-8b-instruct", mac, CHAT)
    assert found.tasks_per_s == alone.tasks_per_s


def test_a_model_that_fits_nowhere_is_an_error() -> None:
    with pytest.raises(PlannerError, match="does not fit"):
        own_capacity("llama-3.1-405b-instruct", describe_machine("RTX 4090, 64GiB DDR5-5600"), CHAT)
