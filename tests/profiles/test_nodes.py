"""Whole machines and processors: every packaged row keeps the schema, and figures are one way and add up."""

import re
from collections import Counter
from typing import Any

import pytest

from profiles import machine_schema, schema
from profiles.errors import ProfileError
from profiles.loader import accelerator_rows, cpu_rows, node_rows

NODES = node_rows()
BY_ID = {row["id"]: row for row in NODES}
CPUS = cpu_rows()
ACCELERATORS = {row["id"]: row for row in accelerator_rows()}


@pytest.mark.parametrize("row", NODES, ids=lambda row: row["id"])
def test_every_packaged_machine_keeps_the_schema(row: schema.Row) -> None:
    machine_schema.check_node(row, "nodes.csv")
    assert row["source"] and row["checked_on"]
    if row["accelerator_id"] is not None:
        assert row["accelerator_id"] in ACCELERATORS


@pytest.mark.parametrize("row", CPUS, ids=lambda row: row["id"])
def test_every_packaged_processor_keeps_the_schema(row: schema.Row) -> None:
    machine_schema.check_cpu(row, "cpus.csv")
    assert row["source"] and row["checked_on"]


def test_there_are_machines_of_every_kind() -> None:
    kinds = Counter(row["kind"] for row in NODES)
    assert len(BY_ID) == len(NODES) >= 100
    assert kinds["cloud"] >= 50 and kinds["server"] >= 15 and kinds["rack"] >= 2
    assert kinds["workstation"] >= 10 and kinds["desktop"] >= 12 and kinds["laptop"] >= 5


def test_no_name_belongs_to_two_machines() -> None:
    owners: dict[str, set[str | None]] = {}
    for row in NODES:
        for name in (row["id"], row["name"], *(row["aliases"] or "").split(";")):
            if name:
                owners.setdefault(re.sub(r"[\s_()-]+", "", name.casefold()), set()).add(row["id"])
    assert {name: ids for name, ids in owners.items() if len(ids) > 1} == {}


@pytest.mark.parametrize("row", NODES, ids=lambda row: row["id"])
def test_the_link_inside_is_that_of_the_accelerator_one_way(row: schema.Row) -> None:
    link = schema.number(row["gpu_link_gb_per_s"])
    if link is None:
        return
    accelerator = ACCELERATORS[row["accelerator_id"]]
    # A machine cannot give its chips more than the chip has; sheets that print both ways would be double.
    most = schema.number(accelerator["link_gb_per_s"])
    assert most is not None
    assert link <= most
    if row["gpu_link"] == "NVSwitch":
        assert link == most


@pytest.mark.parametrize("row", NODES, ids=lambda row: row["id"])
def test_a_row_without_an_opened_source_says_which_cells_are_recalled(row: schema.Row) -> None:
    recalled = set((row["recalled"] or "").split(";")) - {""}
    filled = {name for name, cell in row.items() if cell is not None}
    assert recalled <= filled, "a recalled cell is a filled one"
    if row["status"] == "recalled":
        assert recalled
        assert "recalled" in (row["source"] or "")
    if row["status"] == "agree":
        assert "accelerator_id" not in recalled


@pytest.mark.parametrize(
    ("id_", "cells"),
    [
        # NVIDIA's guide: 8 x 180 GB, 2 x 56 cores, 2 TB in 32 modules, 8 ConnectX-7 of 400 Gbit/s, 8 x 3.84 TB;
        # "14.4 TB/s aggregate" is 8 x 1.8 both ways, so 0.9 each way.
        ("dgx-b200", {"n_accelerators": 8, "n_physical_cores": 112, "memory_gib": 2048, "n_nics": 8,
                      "nic_gbit_per_s": 400, "nvme_gb": 30720, "gpu_link_gb_per_s": 900}),
        # AWS: 3,200 Gbit/s of EFA as 32 x 100 on the p5 and 16 x 200 on the p5en.
        ("aws-p5-48xlarge", {"n_accelerators": 8, "n_threads": 192, "memory_gib": 2048, "n_nics": 32}),
        ("aws-p5en-48xlarge", {"n_nics": 16, "nic_gbit_per_s": 200}),
        # 18 trays of two Grace of 72 cores and four GPUs.
        ("gb200-nvl72", {"n_accelerators": 72, "n_sockets": 36, "n_physical_cores": 2592}),
        ("aws-inf2-48xlarge", {"n_accelerators": 12, "memory_gib": 768}),
        ("azure-nd96isr-mi300x-v5", {"n_threads": 96, "memory_gib": 1850, "n_nics": 8}),
    ],
)  # fmt: skip
def test_figures_that_were_read(id_: str, cells: dict[str, float]) -> None:
    assert {name: schema.number(BY_ID[id_][name]) for name in cells} == cells


def test_a_nic_is_counted_one_way_and_a_link_is_faster_than_the_network() -> None:
    for row in NODES:
        nics, rate = schema.number(row["n_nics"]), schema.number(row["nic_gbit_per_s"])
        link, count = schema.number(row["gpu_link_gb_per_s"]), schema.number(row["n_accelerators"])
        if nics and rate and link and count:
            assert nics * rate / 8 <= link * count, row["id"]


NODE: dict[str, str | None] = {
    **dict.fromkeys(column.name for column in machine_schema.NODE_COLUMNS),
    "id": "box", "name": "Box", "kind": "server", "accelerator_id": "h100-sxm-80", "n_accelerators": "8",
    "status": "one-source", "source": "me",
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"accelerator_id": None}, "accelerator_id"),
        ({"n_accelerators": "0"}, "accelerator_id"),
        ({"kind": "boat"}, "kind"),
        ({"memory_mt_per_s": "4800"}, "n_memory_channels"),
        ({"nic_gbit_per_s": "400"}, "n_nics"),
        ({"n_physical_cores": "64", "n_threads": "32"}, "n_threads"),
        ({"recalled": "colour"}, "recalled"),
        ({"source": None}, "source"),
        ({"status": "sure"}, "status"),
    ],
)
def test_a_wrong_machine_is_refused_by_field(changes: dict[str, Any], field: str) -> None:
    machine_schema.check_node(NODE, "nodes.csv")
    with pytest.raises(ProfileError, match=f"row 'box', field '{field}'"):
        machine_schema.check_node(NODE | changes, "nodes.csv")
