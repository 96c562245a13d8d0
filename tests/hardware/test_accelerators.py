"""Which device a name means, and which it must not mean."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.accelerators import (
    accelerator_from_row,
    all_accelerators,
    find_accelerator,
    match_driver_name,
    mig_slice,
)
from hardware.errors import UnknownDeviceError
from hardware.spec import Basis
from hardware.units import GIB, MIB
from profiles.errors import ProfileError
from profiles.loader import accelerator_rows
from tests.hardware.accelerator_table import ROWS, row


def test_a_row_becomes_base_units() -> None:
    card = find_accelerator("RTX 4090", ROWS)
    assert card.memory_bytes == 24_564 * 1024 * 1024
    assert card.memory_bytes_per_s == 1.008e12  # 1,008 GB/s, decimal as on the data sheet
    assert card.dense_flop_per_s == {"fp16": 165e12, "bf16": 100e12, "int8": 660e12}
    assert card.power_w == 300
    assert card.link_bytes_per_s is None
    assert find_accelerator("RTX 3090", ROWS).link_bytes_per_s == 56.25e9


@pytest.mark.parametrize(
    "name",
    ["RTX 4090", "rtx 4090", "  RTX   4090 ", "RTX4090", "rtx-4090", "GeForce RTX 4090", "NVIDIA GeForce RTX 4090",
     "NVIDIA RTX 4090", "4090", "RTX 4090 GPU", "Virtualized NVIDIA RTX 4090"],
)  # fmt: skip
def test_one_device_under_the_names_people_write(name: str) -> None:
    assert find_accelerator(name, ROWS).id == "rtx-4090"


@pytest.mark.parametrize(
    "name",
    ["GH200", "RTX 4090 Laptop GPU", "RTX 40900", "RTX 409", "L40", "L40S2", "trainium2", "A1000", "H100X", "",
     "RTX 4090 D"],
)  # fmt: skip
def test_names_that_merely_resemble_are_unknown(name: str) -> None:
    # "GH200" contains "H200" and "RTX 4090 Laptop GPU" begins with "RTX 4090": other devices, other numbers.
    with pytest.raises(UnknownDeviceError, match="memory bandwidth") as caught:
        find_accelerator(name, ROWS)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownDeviceError, match="nearest are: GeForce RTX 4090"):
        find_accelerator("RTX 4090 Laptop", ROWS)


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("A100", ("A100 SXM4 40GB", "A100 SXM4 80GB", "A100 PCIe 80GB")),
        ("H100", ("H100 SXM5 80GB", "H100 PCIe 80GB")),
        ("Nvidia H100 GPU", ("H100 SXM5 80GB", "H100 PCIe 80GB")),
        ("NVIDIA A100 80GB", ("A100 SXM4 80GB", "A100 PCIe 80GB")),
        # One profile, but the name covers an 8 GB card as well: still to be spelled out.
        ("RTX 3060", ("GeForce RTX 3060 12GB",)),
    ],
)
def test_a_name_of_several_devices_lists_them(name: str, choices: tuple[str, ...]) -> None:
    with pytest.raises(UnknownDeviceError) as caught:
        find_accelerator(name, ROWS)
    assert str(caught.value).endswith(f"one of: {'; '.join(choices)}")


def test_a_label_size_settles_a_family() -> None:
    assert find_accelerator("A100 SXM", ROWS, memory_bytes=40 * 10**9).id == "a100-sxm-40"
    assert find_accelerator("A100 SXM", ROWS, memory_bytes=80 * GIB).id == "a100-sxm-80"
    # 48 GB on the label is 46,068 MiB in the driver once error correction took its 1/16.
    assert find_accelerator("L40S", ROWS, memory_bytes=48 * 10**9).id == "l40s"
    with pytest.raises(UnknownDeviceError, match="no 'RTX 4090' with 48 GB is known"):
        find_accelerator("RTX 4090", ROWS, memory_bytes=48 * 10**9)


def test_memory_size_tells_two_macs_apart() -> None:
    # The 32-core M4 Max comes with 36 GB only, the 40-core one with 48 to 128.
    assert find_accelerator("M4 Max", ROWS, memory_bytes=36 * GIB).id == "apple-m4-max-32"
    found = find_accelerator("Apple M4 Max", ROWS, memory_bytes=64 * GIB)
    assert (found.id, found.memory_bytes) == ("apple-m4-max", 64 * GIB)
    with pytest.raises(UnknownDeviceError, match="one of"):
        find_accelerator("M4 Max", ROWS)
    with pytest.raises(UnknownDeviceError, match="sold with different amounts"):
        find_accelerator("M4 Max 40-core", ROWS)


@pytest.mark.parametrize(
    ("name", "memory_mib", "device_id"),
    [
        ("NVIDIA GeForce RTX 4090", 24_564, "rtx-4090"),
        ("NVIDIA H100 80GB HBM3", 81_559, "h100-sxm"),
        ("NVIDIA H100 PCIe", 81_559, "h100-pcie"),
        ("NVIDIA A100-SXM4-80GB", 81_920, "a100-sxm-80"),
        ("NVIDIA H200", 143_771, "h200-sxm"),
        ("NVIDIA L40S", 49_140, "l40s"),  # error correction off: 6.7 % more than 46,068
        ("NVIDIA GB10", None, "gb10"),  # unified memory: the driver names no size
        ("NVIDIA GeForce RTX 4090", None, "rtx-4090"),
        ("NVIDIA GeForce RTX 3060", 12_288, "rtx-3060-12"),
        ("NVIDIA GeForce RTX 3060", 8_192, None),  # another card of that name, with 2/3 of the bandwidth
        ("NVIDIA GeForce RTX 4090 Laptop GPU", 16_376, None),
        ("NVIDIA GeForce RTX 4090", 49_140, None),
        ("NVIDIA GH200 480GB", 97_871, None),
        ("NVIDIA A100", 81_920, None),
        ("Apple M4 Max (40-core GPU)", None, None),  # its memory is not known from the name
        ("", 1, None),
    ],
)
def test_driver_names(name: str, memory_mib: int | None, device_id: str | None) -> None:
    found = match_driver_name(name, None if memory_mib is None else memory_mib * MIB, ROWS)
    assert (None if found is None else found.id) == device_id


def test_a_mig_slice_has_its_share() -> None:
    card = find_accelerator("A100 SXM 80GB", ROWS)  # 2,000 GB/s, 350 TFLOP/s in fp16, 81,920 MiB
    part = mig_slice(card, memory_bytes=10_240 * MIB, n_slices=1, n_slices_total=7)
    assert part.memory_bytes_per_s == pytest.approx(
        250e9
    )  # an eighth of the memory, an eighth of its channels
    assert part.dense_flop_per_s["fp16"] == pytest.approx(50e12)  # a seventh of 350
    assert (part.memory_bytes, part.memory_basis, part.link_bytes_per_s) == (10 * GIB, Basis.MEASURED, None)


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [("memory_gb_per_s", "fast", "memory_gb_per_s = 'fast'"), ("memory_gb_per_s", "", "no memory_gb_per_s"),
     ("power_w", "nan", "power_w = 'nan'"), ("memory_mib", "-5", "memory_mib = '-5'"),
     ("memory_basis", "rumour", "memory_basis = 'rumour'"), ("name", "", "no name")],
)  # fmt: skip
def test_a_bad_row_is_named(column: str, cell: str, message: str) -> None:
    with pytest.raises(ProfileError, match=message):
        accelerator_from_row(row("x", "X", **{column: cell}))


def test_the_list_leaves_out_what_has_no_size_of_its_own() -> None:
    ids = {card.id for card in all_accelerators(ROWS)}
    assert "rtx-4090" in ids
    assert "apple-m4-max" not in ids


def test_every_packaged_name_and_alias_finds_its_own_row() -> None:
    rows = accelerator_rows()
    assert len(rows) > 50
    for packaged in rows:
        size = None if packaged["memory_mib"] else 24 * GIB
        names = [packaged["name"], packaged["id"], *(packaged["aliases"] or "").split(";")]
        for name in filter(None, names):
            assert find_accelerator(name, rows, memory_bytes=size).id == packaged["id"], name


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_a_device_or_a_one_line_error(name: str) -> None:
    try:
        find_accelerator(name, ROWS)
    except UnknownDeviceError as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 1200
