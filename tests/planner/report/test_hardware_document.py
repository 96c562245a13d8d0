"""`planner hardware` of machines with real profile rows, in every format."""

import json

import pytest

from hardware.described import describe_machine
from planner.cli.render import as_csv, as_json, as_markdown, as_table
from planner.report.hardware_document import hardware_document


@pytest.mark.parametrize("words", ["2x RTX 4090, 64GiB DDR5-5600", "M4 Max, 128GiB", "cpu only, 32GiB"])
def test_a_machine_in_every_format(words: str) -> None:
    machine = describe_machine(words)
    document = hardware_document(machine)
    data = json.loads(as_json(document))
    assert data["schema"] == "planner.hardware/1"
    assert len(data["gpus"]) == len(machine.gpus)
    for gpu in data["gpus"]:
        assert gpu["accelerator"]["memory_bytes_per_s"] > 0
        assert gpu["accelerator"]["dense_flop_per_s"]["fp16"] > 0
    for shown in (as_table(document), as_markdown(document), as_csv(document)):
        assert all(gpu.name in shown.replace("\n", " ") for gpu in machine.gpus[:1])
