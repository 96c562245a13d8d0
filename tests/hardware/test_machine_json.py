"""A machine written as JSON and read back is the same machine; anything else is one clear line."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hardware.described import describe_machine
from hardware.errors import DescriptionError
from hardware.inspect import inspect_machine, machine_fingerprint
from hardware.machine_json import machine_from_json, machine_to_json_data, read_machine_file
from hardware.spec import Machine
from tests.hardware.record_strategy import records

WORDS = "2x RTX 4090, 64GiB DDR5-5600"


def written(machine: Machine) -> dict[str, Any]:
    data = json.loads(json.dumps(machine_to_json_data(machine), allow_nan=False))
    assert isinstance(data, dict)
    return data


def read(data: Any) -> Machine:
    return machine_from_json(json.dumps(data), source="m.json")


def refused(text: str) -> str:
    with pytest.raises(DescriptionError) as caught:
        machine_from_json(text, source="m.json")
    line = str(caught.value)
    assert line.startswith("m.json")
    assert "\n" not in line
    assert len(line) < 600
    assert line.isprintable()
    return line


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(machine=records(Machine))
def test_any_machine_comes_back_as_it_was(machine: Machine) -> None:
    # Every field of every record that a machine holds, present and future: the strategy follows the types.
    assert read(written(machine)) == machine


@pytest.mark.parametrize("words", [WORDS, "M4 Max, 128GiB", "cpu only, 32GiB", "8x H100 SXM, 2TiB"])
def test_described_machines_come_back(words: str) -> None:
    machine = describe_machine(words)
    assert read(written(machine)) == machine
    assert read(written(machine)).described


def test_this_machine_comes_back_under_the_same_fingerprint() -> None:
    machine = inspect_machine()
    assert read(written(machine)) == machine
    # Benchmarks and measured rates are kept under it.
    assert machine_fingerprint(read(written(machine))) == machine_fingerprint(machine)


def test_units_stand_in_the_keys() -> None:
    data = written(describe_machine(WORDS))
    assert data["schema"] == "planner.hardware/1"
    assert data["memory"]["total_bytes"] == 64 * 2**30
    # Two channels of 8 bytes at 5,600 million transfers a second.
    assert data["stated_memory_bytes_per_s"] == 2 * 8 * 5600 * 10**6
    assert data["memory_bandwidth_bytes_per_s"] is None


def test_a_file_names_its_machine(tmp_path: Path) -> None:
    here, there = tmp_path / "node7.json", tmp_path / "box.json"
    here.write_text(
        json.dumps(written(Machine(name="this machine", cpu=None, memory=None))), encoding="utf-8"
    )
    there.write_text(json.dumps(written(describe_machine(WORDS))), encoding="utf-8")
    # "this machine" was true where the file was written, not where it is read.
    assert read_machine_file(here).name == "the machine of node7.json"
    assert read_machine_file(there).name == WORDS


def test_fields_may_be_missing_where_they_have_a_default_and_unknown_ones_are_named() -> None:
    data = written(describe_machine(WORDS))
    del data["gpu_driver"]
    data["warp_drive"] = {"speed": 9}
    data["memory"]["colour"] = "blue"
    machine = read(data)
    assert machine.gpus == describe_machine(WORDS).gpus
    (note,) = [line for line in machine.problems if "not read" in line]
    assert "warp_drive" in note
    assert "memory.colour" in note


CHANGES: list[tuple[str, Any, str]] = [
    ("schema", "planner.hardware/2", "update the planner"),
    ("schema", "planner.fit/1", "planner.fit/1"),
    ("schema", "planner.fleet/1", "fleet:m.json"),
    ("schema", "planner.hardware/one", "does not say schema"),
    ("schema", None, "does not say schema"),
    ("schema", 7, "does not say schema"),
    ("name", None, "name is null"),
    ("name", "x" * 10_001, "10,001 characters"),
    ("name", "\ud800", "Unicode"),
    ("described", "yes", "described is 'yes'"),
    ("gpus", {}, "gpus is an object"),
    ("gpus", [[]], "gpus[0] is a list"),
    ("gpus", [{}], "gpus[0].index is missing"),
    ("gpus", [{"index": 0}] * 10_001, "10,001 entries"),
    ("memory", 64, "memory is 64"),
    ("memory.total_bytes", "64GiB", "memory.total_bytes is '64GiB'"),
    ("memory.total_bytes", -1, "memory.total_bytes is -1"),
    ("memory.total_bytes", 1.5, "memory.total_bytes is 1.5"),
    ("memory.total_bytes", True, "memory.total_bytes is True"),
    ("memory.total_bytes", 0, "memory.total_bytes is 0"),
    ("memory.total_bytes", 2**63, "memory.total_bytes is 9223372036854775808"),
    ("memory.total_bytes", 10**4000, "bits"),
    ("stated_memory_bytes_per_s", 10**400, "bits"),
    ("stated_memory_basis", "gut feeling", "not one of measured, vendor"),
    ("problems", ["a", 1], "problems[1] is 1"),
    ("gpus.0.accelerator.memory_bytes_per_s", 0, "contradictory"),
    ("gpus.0.accelerator.dense_flop_per_s", {"fp16": "fast"}, "dense_flop_per_s.'fp16' is 'fast'"),
    ("gpus.0.accelerator.dense_flop_per_s", [], "dense_flop_per_s is a list"),
]


@pytest.mark.parametrize(
    ("path", "value", "words"), CHANGES, ids=[f"{c[0]}-{i}" for i, c in enumerate(CHANGES)]
)
def test_a_damaged_file_is_one_line_that_says_where(path: str, value: Any, words: str) -> None:
    data: Any = written(describe_machine(WORDS))
    *parents, last = path.split(".")
    inner = data
    for key in parents:
        inner = inner[int(key)] if isinstance(inner, list) else inner[key]
    inner[last] = value
    assert words in refused(json.dumps(data))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '"planner.hardware/1"',
        "\x00\x01",
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"schema": "planner.hardware/1"}',
        '{"schema": "planner.hardware/1", "name": NaN}',
        '{"schema": "planner.hardware/1", "name": "m", "cpu": null, "memory": null, "cpu_x": Infinity}',
        '{"schema": "planner.hardware/1", "name": "m", "cpu": null, "memory": null, "stated_memory_bytes_per_s": 1e999}',
        '{"schema": "planner.hardware/1", "n": ' + "9" * 5000 + "}",
        "x" * (16 * 2**20 + 1),
    ],
    ids=range(14),
)
def test_text_that_is_no_machine_is_one_line(text: str) -> None:
    refused(text)


@settings(max_examples=200, deadline=None)
@given(data=st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["name", "cpu", "memory", "gpus", "problems"]), inner),
))  # fmt: skip
def test_whatever_json_holds_is_a_machine_or_one_line(data: Any) -> None:
    document = {"schema": "planner.hardware/1", **data} if isinstance(data, dict) else data
    try:
        machine_from_json(json.dumps(document), source="m.json")
    except DescriptionError as error:
        assert "\n" not in str(error)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    binary, large = tmp_path / "b.json", tmp_path / "l.json"
    binary.write_bytes(b"\xff\xfe{}")
    with large.open("wb") as stream:
        stream.truncate(17 * 2**20)
    for path, words in (
        (tmp_path / "no.json", "not a file"),
        (tmp_path, "not a file"),
        (binary, "UTF-8"),
        (large, "larger"),
    ):
        with pytest.raises(DescriptionError, match=words):
            read_machine_file(path)
