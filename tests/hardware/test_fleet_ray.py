"""A fleet from Ray without Ray: who answers, who fails, who dies, who is late; the real thing is tested apart."""

import json
import os
import socket
import time
from pathlib import Path

import pytest

from hardware.described import describe_machine
from hardware.errors import HardwareError
from hardware.fleets.ray import check_cluster, probe_node, ray_fleet
from hardware.machine_json import machine_from_json, machine_to_json_data
from hardware.spec import Machine
from tests.hardware.fake_ray import FakeNode, FakeRay, NodeDiedError, RayError, RayTaskError

HERE = json.dumps(machine_to_json_data(Machine(name="this machine", cpu=None, memory=None)))
GPUS = json.dumps(machine_to_json_data(describe_machine("8x H100 SXM, 2TiB")))


def unchecked(address: str | None) -> None:
    """No sign of life is asked of a fake."""


def test_every_node_is_a_member_under_its_host_name() -> None:
    steps: list[tuple[float, str]] = []
    ray = FakeRay(
        [
            FakeNode(id="b" * 56, host="n2", answer=GPUS, n_gpus=8),
            FakeNode(id="a" * 56, host="n1", answer=HERE),
        ]
    )
    fleet = ray_fleet("head:6379", ray=ray, check=unchecked, progress=lambda *step: steps.append(step))
    assert fleet.source == "ray:head:6379"
    assert [(member.name, member.problem) for member in fleet.members] == [("n1", None), ("n2", None)]
    assert [member.machine and member.machine.name for member in fleet.members] == ["n1", "n2"]
    assert fleet.members[1].machine is not None
    assert len(fleet.members[1].machine.gpus) == 8
    assert fleet.members[1].machine.problems == ()
    assert fleet.problems == ()
    assert [done for done, _ in steps] == [0.5, 1.0]
    assert steps[-1][1] == "2 of 2 nodes answered"
    assert ray.log == ["shutdown"]


def test_the_probe_is_shipped_and_ray_is_quiet() -> None:
    ray = FakeRay([FakeNode(id="a", host="n1", answer=HERE)])
    ray_fleet(None, ray=ray, check=unchecked)
    assert ray.started_with["address"] == "auto", "never a cluster started by accident"
    shipped = [Path(path) for path in ray.started_with["runtime_env"]["py_modules"]]
    assert [path.name for path in shipped] == ["hardware", "profiles"]
    assert (shipped[1] / "accelerators.csv").is_file(), "profile data travel with the code"
    assert ray.started_with["log_to_driver"] is False


def test_a_node_that_fails_in_any_way_costs_one_line_and_the_rest_come() -> None:
    ray = FakeRay(
        [
            FakeNode(id="1", host="good", answer=HERE),
            FakeNode(id="2", host="dead", answer=NodeDiedError("Task failed because the node is dead.\nMore.")),
            FakeNode(id="3", host="bare", answer=RayTaskError(ModuleNotFoundError("No module named 'psutil'"))),
            FakeNode(id="4", host="broken", answer=RayTaskError(ZeroDivisionError("division by zero"))),
            FakeNode(id="5", host="setup", answer=RayError("Failed to set up runtime environment.\n" + "x" * 5000)),
            FakeNode(id="6", host="liar", answer='{"schema": "planner.hardware/9"}'),
            FakeNode(id="7", host="garbage", answer="\x00"),
            FakeNode(id="8", host="silent", dies_after_waits=3),
        ]
    )  # fmt: skip
    started = time.monotonic()
    fleet = ray_fleet(ray=ray, check=unchecked, timeout_s=30)
    assert time.monotonic() - started < 5, "a node that is gone is not waited for"
    problems = {member.name: member.problem for member in fleet.members}
    assert problems.pop("good") is None
    assert problems["dead"] == problems["silent"] == "died while it was asked"
    assert "cannot run there: No module named 'psutil'; install" in (problems["bare"] or "")
    assert problems["broken"] == "division by zero"
    assert "update the planner" in (problems["liar"] or "")
    assert "not JSON" in (problems["garbage"] or "")
    assert all(problem and "\n" not in problem and len(problem) < 400 for problem in problems.values())
    assert [member.name for member in fleet.usable] == ["good"]


def test_a_node_that_is_late_is_given_up_and_its_task_ended() -> None:
    ray = FakeRay([FakeNode(id="1", host="good", answer=HERE), FakeNode(id="2", host="slow")])
    fleet = ray_fleet(ray=ray, check=unchecked, timeout_s=0.2)
    assert {member.name: member.problem for member in fleet.members} == {
        "good": None,
        "slow": "did not answer within 0.2 s",
    }
    assert ray.log == ["cancel 2", "shutdown"]


def test_nodes_of_one_host_are_told_apart_and_dead_ones_counted() -> None:
    ray = FakeRay(
        [
            FakeNode(id="aaaaaaaaaaaa", host="vm", answer=HERE),
            FakeNode(id="bbbbbbbbbbbb", host="vm", answer=HERE),
            FakeNode(id="cccccccccccc", host="old", alive=False),
        ]
    )
    fleet = ray_fleet(ray=ray, check=unchecked)
    assert [member.name for member in fleet.members] == ["vm (aaaaaaaa)", "vm (bbbbbbbb)"]
    assert fleet.problems == (
        "2 Ray nodes run on the host vm: its hardware is shown for each of them, though it is one",
        "left out: 1 node that Ray lists as dead",
    )


def test_gpus_that_ray_was_not_given_are_named() -> None:
    ray = FakeRay([FakeNode(id="1", host="n1", answer=GPUS, n_gpus=4)])
    (member,) = ray_fleet(ray=ray, check=unchecked).members
    assert member.machine is not None
    assert member.machine.problems == ("Ray schedules onto 4 GPUs here, its driver shows 8",)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("Could not find any running Ray instance."),
        RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.9.0\n    Python: 3.10.12"),
        ValueError("bad address"),
        RayError("Timed out"),
    ],
)
def test_a_cluster_that_cannot_be_joined_is_one_line(error: Exception) -> None:
    with pytest.raises(HardwareError, match="cannot join the Ray cluster at this host") as caught:
        ray_fleet(ray=FakeRay(init_error=error), check=unchecked)
    assert "\n" not in str(caught.value)
    assert " ".join(str(error).split()) in str(caught.value)


def test_a_process_that_is_connected_already_is_left_alone() -> None:
    ray = FakeRay(initialized=True)
    with pytest.raises(HardwareError, match="already connected"):
        ray_fleet(ray=ray, check=unchecked)
    assert ray.log == []


def test_no_cluster_is_said_before_ray_waits_for_it() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        port = free.getsockname()[1]
        with pytest.raises(HardwareError, match=f"no Ray cluster at 127.0.0.1:{port}"):
            check_cluster(f"127.0.0.1:{port}")
    for address in ("nowhere", "127.0.0.1:port", "127.0.0.1:99999999"):
        with pytest.raises(HardwareError, match="HOST:PORT"):
            check_cluster(address)
    check_cluster("ray://head:10001")  # has its own time-out


def test_the_probe_looks_past_what_ray_hides(monkeypatch: pytest.MonkeyPatch) -> None:
    # Ray sets these for a task that asks for no GPU; the machine has its GPUs all the same.
    before = machine_from_json(probe_node(), source="probe")
    monkeypatch.setitem(os.environ, "CUDA_VISIBLE_DEVICES", "")
    hidden = machine_from_json(probe_node(), source="probe")
    assert [gpu.name for gpu in hidden.gpus] == [gpu.name for gpu in before.gpus]
    assert hidden.problems == before.problems
