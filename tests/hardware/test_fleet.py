"""Fleets: like machines group, one broken file costs one line, JSON holds each."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hardware.described import describe_machine
from hardware.errors import DescriptionError
from hardware.fleet import Fleet, FleetMember, like_machines, machine_label
from hardware.fleet_json import fleet_from_json, fleet_to_json_data, read_fleet_file
from hardware.fleets.folder import folder_fleet
from hardware.machine_json import machine_to_json_data
from hardware.spec import Cpu, Machine, Memory
from hardware.units import GIB, MIB

EIGHT = "8x H100 SXM, 2TiB"
ONE = "RTX 4090, 64GiB"


def of(*members: tuple[str, Machine | None, str | None]) -> Fleet:
    return Fleet(
        source="folder:here",
        members=tuple(FleetMember(name=name, machine=machine, problem=why) for name, machine, why in members),
    )


def with_memory(machine: Machine, n_bytes: int) -> Machine:
    return replace(machine, memory=Memory(total_bytes=n_bytes, available_bytes=n_bytes))


def test_like_machines_are_one_group_and_the_smallest_stands_for_them() -> None:
    big = describe_machine(EIGHT)
    # Six nodes whose kernels keep 0 to 5 GiB of 2,048 GiB: within 1 % (20.5 GiB) of each other.
    six = [(f"dgx{i}", with_memory(big, 2048 * GIB - i * GIB), None) for i in range(6)]
    fleet = of(*six, ("desk", describe_machine(ONE), None), ("gone", None, "did not answer"))
    groups = like_machines(fleet)
    assert [(group.count, group.names[0]) for group in groups] == [(6, "dgx0"), (1, "desk")]
    assert groups[0].label == "6 × 8x H100 SXM5 80GB, 2.0 TiB"
    # What fits the one with the least memory fits all: dgx5 has 2048 − 5 GiB.
    assert groups[0].machine.memory is not None
    assert groups[0].machine.memory.total_bytes == 2043 * GIB


def test_what_differs_is_another_group() -> None:
    base = describe_machine(ONE)
    cpu = Cpu(model="EPYC", n_sockets=1, n_physical_cores=32, n_usable_threads=64)
    different = [
        base,
        with_memory(base, 66 * GIB),  # 3 % more
        describe_machine("RTX 4080, 64GiB"),
        describe_machine("2x RTX 4090, 64GiB"),
        replace(base, gpus=(replace(base.gpus[0], memory_bytes=48 * GIB),)),
        replace(base, cpu=cpu),
        replace(base, cpu=replace(cpu, n_usable_threads=32)),
        replace(base, described=False),
    ]
    fleet = of(*((f"m{i}", machine, None) for i, machine in enumerate(different)))
    assert len(like_machines(fleet)) == len(different)


def test_free_memory_of_a_gpu_decides_who_stands_for_a_group() -> None:
    base = describe_machine(ONE)
    busy = replace(base, gpus=(replace(base.gpus[0], free_bytes=3 * GIB),))
    idle = replace(base, gpus=(replace(base.gpus[0], free_bytes=23 * GIB),))
    (group,) = like_machines(of(("idle", idle, None), ("busy", busy, None)))
    assert group.machine == busy
    assert group.names == ("busy", "idle")


def test_a_machine_with_a_problem_is_known_but_not_planned_with() -> None:
    fleet = of(("down", describe_machine(ONE), "not ready: KubeletNotReady"))
    assert fleet.usable == ()
    assert like_machines(fleet) == ()
    with pytest.raises(ValueError, match="says why"):
        FleetMember(name="x", machine=None)


def test_labels_name_what_matters() -> None:
    cpu = Cpu(model="EPYC 9654", n_sockets=1, n_physical_cores=96, n_usable_threads=192)
    assert machine_label(Machine(name="m", cpu=cpu, memory=None)) == "EPYC 9654, 192 threads, RAM unknown"
    assert machine_label(Machine(name="m", cpu=None, memory=None)) == "no GPU, RAM unknown"
    mixed = describe_machine("RTX 4090 + 2x RTX 3090, 64GiB")
    assert machine_label(mixed) == "GeForce RTX 4090 + 2x GeForce RTX 3090, 64.0 GiB"
    cut = replace(mixed.gpus[0], name="NVIDIA A100-SXM4-80GB", mig_profile="1g.10gb")
    assert machine_label(replace(mixed, gpus=(cut,) * 7)) == "7x NVIDIA A100-SXM4-80GB (1g.10gb), 64.0 GiB"


# ------------------------------------------------------------------ a folder


def write(folder: Path, name: str, machine: Machine) -> None:
    (folder / name).write_text(json.dumps(machine_to_json_data(machine)), encoding="utf-8")


def test_a_folder_of_machines_where_one_file_is_broken(tmp_path: Path) -> None:
    write(tmp_path, "a.json", describe_machine(ONE))
    write(tmp_path, "B.JSON", describe_machine(EIGHT))
    write(tmp_path, "here.json", Machine(name="this machine", cpu=None, memory=None))
    (tmp_path / "broken.json").write_text('{"schema": "planner.hardware/1", "name": 7}', encoding="utf-8")
    (tmp_path / "notes.txt").write_text("not a machine", encoding="utf-8")
    (tmp_path / "sub.json").mkdir()
    fleet = folder_fleet(tmp_path)
    assert [member.name for member in fleet.members] == ["B", "a", "broken", "here", "sub"]
    assert [member.name for member in fleet.usable] == ["B", "a", "here"]
    problems = {member.name: member.problem or "" for member in fleet.members}
    assert "name is 7" in problems["broken"]
    assert "broken.json" in problems["broken"]
    assert "not a file" in problems["sub"]
    assert all("\n" not in problem for problem in problems.values())


def test_a_folder_without_machines_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DescriptionError, match=r"holds no \*.json"):
        folder_fleet(tmp_path)
    with pytest.raises(DescriptionError, match="cannot read the folder"):
        folder_fleet(tmp_path / "missing")


# ------------------------------------------------------------------ JSON


def test_a_fleet_comes_back_with_each_machine() -> None:
    fleet = replace(
        of(
            ("a", describe_machine(ONE), None),
            ("b", describe_machine(ONE), "cordoned: it takes no new pods"),
            ("c", None, "died while it was asked"),
        ),
        problems=("left out: 2 nodes",),
    )
    data = json.loads(json.dumps(fleet_to_json_data(fleet)))
    assert data["schema"] == "planner.fleet/1"
    assert (data["n_machines"], data["n_usable"]) == (3, 1)
    assert data["groups"] == [{"label": "1 × GeForce RTX 4090, 64.0 GiB", "count": 1, "names": ["a"]}]
    back = fleet_from_json(json.dumps(data), source="f.json")
    assert back == replace(fleet, source="f.json")


def test_a_damaged_machine_in_a_fleet_costs_one_line() -> None:
    data = fleet_to_json_data(of(("a", describe_machine(ONE), None), ("b", describe_machine(ONE), None)))
    data["machines"][1]["machine"]["memory"]["total_bytes"] = "64GiB"
    data["machines"] += [7, {"name": ""}, {"name": "d", "machine": None}, {"name": "\ud800"}]
    back = fleet_from_json(json.dumps(data), source="f.json")
    assert [member.problem is None for member in back.members] == [True, False, False, False, False, False]
    assert "machines[1]" in (back.members[1].problem or "")
    assert "memory.total_bytes" in (back.members[1].problem or "")
    assert back.members[4].problem == "nothing is known of this machine"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": "planner.fleet/2"}, "update the planner"),
        ({"schema": "planner.hardware/1"}, "another command"),
        ({"machines": 3}, "no list"),
        ({"machines": [{}] * 10_001}, "10,000"),
        ({"problems": [1]}, "not a list of lines"),
    ],
)
def test_what_is_no_fleet_is_one_line(change: dict[str, object], words: str, tmp_path: Path) -> None:
    file = tmp_path / "f.json"
    file.write_text(json.dumps(fleet_to_json_data(of()) | change), encoding="utf-8")
    with pytest.raises(DescriptionError, match=words) as caught:
        read_fleet_file(file)
    assert "\n" not in str(caught.value)


def test_sizes_are_compared_in_bytes() -> None:
    # 23,028 MiB (error correction on) and 24,564 MiB (off) of one card name are two kinds: 22 against 24 GiB.
    base = describe_machine(ONE)
    on, off = (replace(base, gpus=(replace(base.gpus[0], memory_bytes=n * MIB),)) for n in (23_028, 24_564))
    assert len(like_machines(of(("on", on, None), ("off", off, None)))) == 2
