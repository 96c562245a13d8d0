"""Whole machines by name, and what becomes of a row."""

import pytest

from hardware.accelerators import find_accelerator
from hardware.errors import UnknownDeviceError
from hardware.nodes import all_nodes, find_node, node_from_row
from hardware.spec import Basis
from hardware.units import GIB
from profiles.errors import ProfileError
from profiles.loader import node_rows
from tests.hardware.accelerator_table import ROWS, node_row


def test_every_packaged_machine_can_be_built_and_every_name_finds_it() -> None:
    for row in node_rows():
        machine = node_from_row(row).machine()
        assert len(machine.gpus) == int(row["n_accelerators"] or 0)
        assert machine.described
        for name in (row["id"], row["name"], *(row["aliases"] or "").split(";")):
            node = find_node(name) if name else None
            assert node is None or node.id == row["id"]
    assert len(all_nodes()) >= 100


def test_a_row_becomes_base_units() -> None:
    row = node_row(
        "box", "Big Box", accelerator_id="h100-sxm", n_accelerators="8", cpu_model="EPYC 9654", n_sockets="2",
        n_physical_cores="192", n_threads="384", memory_gib="1024", memory_mt_per_s="4800", n_memory_channels="24",
        gpu_link="NVSwitch", gpu_link_gb_per_s="450", n_nics="8", nic_gbit_per_s="400", nvme_gb="30720",
        recalled="nvme_gb;n_nics",
    )  # fmt: skip
    node = node_from_row(row, ROWS)
    assert (node.kind, node.n_accelerators, node.ram.size_bytes) == ("server", 8, 1024 * GIB)
    assert node.ram.bytes_per_s == 24 * 8 * 4800e6  # channels x 8 bytes x transfers
    assert node.ram.basis is Basis.DERIVED
    assert node.cpu is not None
    assert (node.cpu.model, node.cpu.n_physical_cores, node.cpu.n_usable_threads) == ("EPYC 9654", 192, 384)
    assert node.interconnect.gpu_link_bytes_per_s == 450e9
    assert node.interconnect.has_switch
    assert node.interconnect.nic_bytes_per_s == 50e9  # 400 Gbit/s
    assert node.interconnect.network_bytes_per_s == 400e9
    assert node.local_disk_bytes == 30_720 * 10**9
    assert (node.basis("nvme_gb"), node.basis("memory_gib")) == (Basis.ASSUMED, Basis.VENDOR)
    machine = node.machine()
    assert [gpu.accelerator.id for gpu in machine.gpus if gpu.accelerator] == ["h100-sxm"] * 8
    assert machine.interconnect == node.interconnect
    assert "from memory, no source opened: nvme gb, n nics" in machine.problems[0]


def test_what_nobody_said_stays_unknown() -> None:
    node = node_from_row(node_row("bare", "Bare"), ROWS)
    assert (node.cpu, node.ram.size_bytes, node.ram.bytes_per_s, node.local_disk_bytes) == (None,) * 4
    assert (node.interconnect.gpu_link, node.interconnect.network_bytes_per_s) == (None, None)
    assert not node.interconnect.has_switch
    assert node.machine().memory is None


def test_a_chip_that_shares_main_memory_gets_that_of_the_machine() -> None:
    row = node_row("mac", "Some Mac", kind="desktop", accelerator_id="apple-m4-max", memory_gib="64",
                   memory_type="unified")  # fmt: skip
    machine = node_from_row(row, ROWS).machine()
    assert machine.memory is not None
    assert machine.memory.total_bytes == 64 * GIB
    assert machine.gpus[0].memory_bytes == 48 * GIB  # three quarters
    assert machine.cpu_memory_bytes_per_s == 546e9
    # One size only, so none has to stand in the row.
    spark = node_from_row(node_row("spark", "Spark", accelerator_id="gb10"), ROWS)
    assert spark.machine().gpus[0].memory_bytes == find_accelerator("GB10", ROWS).memory_bytes
    with pytest.raises(UnknownDeviceError, match="different amounts"):
        node_from_row(node_row("mac", "Some Mac", accelerator_id="apple-m4-max"), ROWS)


@pytest.mark.parametrize("name", ["DGX H100", "dgx-h100", "NVIDIA DGX H100", "dgx  h100"])
def test_one_machine_under_the_names_people_write(name: str) -> None:
    node = find_node(name)
    assert node is not None
    assert node.id == "dgx-h100"


@pytest.mark.parametrize(
    "name", ["DGX", "DGX H1000", "DGX GH200", "p5", "p5.48", "xp5.48xlarge", "H100", "", " "]
)
def test_names_that_merely_resemble_name_nothing(name: str) -> None:
    assert find_node(name) is None


def test_a_cell_that_is_no_number_is_named() -> None:
    with pytest.raises(ProfileError, match="nvme_gb = 'lots'"):
        node_from_row(node_row("box", "Box", nvme_gb="lots"), ROWS)
