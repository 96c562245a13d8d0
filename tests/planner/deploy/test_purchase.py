"""What has to be bought: counted by hand, and unknown where nobody said."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.spec import Basis
from planner.deploy.purchase import (
    Circuit,
    MachineFacts,
    PurchasePlan,
    Site,
    fabric_switches,
    purchase_plan,
)

DGX = MachineFacts(
    name="DGX H100", n_gpus=8, n_nics=8, nic_gbit_per_s=400, rack_units=8, max_power_w=10_200,
    basis=Basis.VENDOR, source="user guide",
)  # fmt: skip


def counted(plan: PurchasePlan) -> dict[str, float | None]:
    return {line.name: line.n for line in plan.lines}


def test_a_pair_of_dgx_counted_by_hand() -> None:
    # 415 V, 32 A, three phases: 0.8 · 415 · 32 · √3 = 18.4 kW. A rack of 42 U holds 5 of 8 U, so both stand in one:
    # 20.4 kW need 2 such circuits, twice for two feeds. 16 ports of network cards fit one switch of 64.
    site = Site(circuit=Circuit(volts=415, amperes=32, phases=3))
    n = counted(purchase_plan(DGX, 2, site, spans_machines=True))
    assert n["GPUs"] == 16 and n["network cards between GPUs"] == 16 and n["leaf switches"] == 1
    assert n["rack units"] == 16 and n["power"] == pytest.approx(20.4)
    assert n["racks"] == 1 and n["circuits"] == 4


def test_a_rack_that_may_draw_little_holds_few() -> None:
    # 12 kW a rack: one machine of 10.2 kW each, so three racks of one circuit of 17.3 kW (208 V, 60 A), two feeds each.
    n = counted(purchase_plan(DGX, 3, Site(rack_power_w=12_000), spans_machines=False))
    assert n["racks"] == 3 and n["circuits"] == 6
    assert "leaf switches" not in n  # nothing crosses machines


def test_a_circuit_carries_four_fifths_of_its_rating() -> None:
    assert Circuit(volts=208, amperes=30).usable_w == pytest.approx(0.8 * 208 * 30)
    assert Circuit(volts=208, amperes=30, phases=3).usable_w == pytest.approx(0.8 * 208 * 30 * math.sqrt(3))


@pytest.mark.parametrize(
    ("ports", "expected"),
    # Switches of 64: up to 64 ports one; 65 need 3 leaves (32 down each), whose 96 uplinks fill 2 spines; 2,048 are 64
    # leaves and 32 spines, the whole of two levels.
    [(0, (0, 0)), (1, (1, 0)), (64, (1, 0)), (65, (3, 2)), (2048, (64, 32))],
)
def test_switches_of_a_fat_tree(ports: int, expected: tuple[int, int]) -> None:
    assert fabric_switches(ports, 64) == expected


def test_a_third_level_is_not_planned_by_rule() -> None:
    with pytest.raises(ValueError, match="2049 ports are more than the 2048"):
        fabric_switches(2049, 64)
    plan = purchase_plan(DGX, 300, Site(), spans_machines=True)
    assert [line.name for line in plan.unknown] == ["leaf switches", "lead time"]


def test_what_nobody_said_has_no_count() -> None:
    bare = MachineFacts(
        name="HGX H100", n_gpus=8, n_nics=None, nic_gbit_per_s=None, rack_units=None, max_power_w=None,
        basis=Basis.ASSUMED, source="",
    )  # fmt: skip
    plan = purchase_plan(bare, 2, Site(lead_weeks=12), spans_machines=True)
    names = {line.name for line in plan.unknown}
    assert names == {"network cards between GPUs", "leaf switches", "rack units", "power", "circuits"}
    assert all("nobody said" in line.how for line in plan.unknown)
    assert counted(plan)["lead time"] == 12


@given(n=st.integers(1, 60), more=st.integers(1, 60))
def test_more_machines_never_need_less_of_anything(n: int, more: int) -> None:
    few, many = (counted(purchase_plan(DGX, k, Site(), spans_machines=True)) for k in (n, n + more))
    assert all((many[name] or 0) >= (value or 0) for name, value in few.items())


@given(ports=st.integers(65, 2048))
def test_no_port_is_without_a_way_up(ports: int) -> None:
    leaves, spines = fabric_switches(ports, 64)
    assert leaves * 32 >= ports and spines * 64 >= leaves * 32
