"""Memory modules from the controllers' driver and from a firmware table built after DMTF DSP0134."""

import struct
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hardware.probes.memory_modules import memory_devices, read_memory_modules
from hardware.units import GIB
from tests.hardware.file_tree import tree

DDR4, DDR5, LPDDR5 = 0x1A, 0x22, 0x23


def device(
    size_mib: int, *, kind: int = DDR5, speed: int = 5600, configured: int = 4800, bits: int = 64, slot: str = "DIMM 0",
    bank: str = "P0 CHANNEL A",
) -> bytes:  # fmt: skip
    """One "Memory Device" (type 17) of SMBIOS 2.8, 0x28 bytes long, with its strings."""
    body = bytearray(0x28)
    body[0], body[1] = 17, 0x28
    struct.pack_into("<HHH", body, 0x08, bits + 8, bits, 0x7FFF if size_mib >= 32_768 else size_mib)
    body[0x10], body[0x11], body[0x12] = 1, 2, kind
    struct.pack_into("<H", body, 0x15, speed)
    struct.pack_into("<I", body, 0x1C, size_mib)
    struct.pack_into("<H", body, 0x20, configured)
    return bytes(body) + f"{slot}\0{bank}\0\0".encode()


END = bytes([127, 4, 0, 0]) + b"\0\0"


def root_with(tmp_path: Path, table: bytes) -> Path:
    file = tmp_path / "sys/firmware/dmi/tables/DMI"
    file.parent.mkdir(parents=True)
    file.write_bytes(table)
    return tmp_path


def test_a_desktop_of_two_channels(tmp_path: Path) -> None:
    table = b"".join(
        device(size, slot=f"DIMM {n}", bank=f"P0 CHANNEL {channel}")
        for n, (size, channel) in enumerate([(0, "A"), (32_768, "A"), (0, "B"), (32_768, "B")])
    )
    modules = read_memory_modules(root_with(tmp_path, table + END))
    assert modules is not None
    assert (modules.n_modules, modules.n_channels, modules.kind) == (2, 2, "DDR5")
    assert modules.size_bytes == 64 * GIB
    # Two channels of 8 bytes, 4,800 million times a second as configured, not the 5,600 on the label: 76.8 GB/s.
    assert modules.bytes_per_s == 76.8e9


def test_two_sockets_have_channels_of_one_name(tmp_path: Path) -> None:
    table = b"".join(
        device(65_536, bank=f"P{socket} CHANNEL {channel}") for socket in (0, 1) for channel in "ABCDEFGHIJKL"
    )
    modules = read_memory_modules(root_with(tmp_path, table + END))
    assert modules is not None
    # 24 channels x 8 bytes x 4.8 GT/s: twice the 460.8 GB/s of one such processor.
    assert (modules.n_channels, modules.bytes_per_s) == (24, 921.6e9)


def test_soldered_memory_has_narrow_channels(tmp_path: Path) -> None:
    # Strix Halo: eight packages of 32 bits at 8,000 MT/s are 256 bits, 256 GB/s.
    table = b"".join(
        device(16_384, kind=LPDDR5, configured=8000, bits=32, bank=f"P0 CHANNEL {channel}")
        for channel in "ABCDEFGH"
    )
    modules = read_memory_modules(root_with(tmp_path, table + END))
    assert modules is not None
    assert (modules.kind, modules.bytes_per_s) == ("LPDDR5", 256e9)


def test_slots_without_channel_names_leave_the_rate_unknown(tmp_path: Path) -> None:
    table = device(16_384, bank="BANK 0") + device(16_384, bank="BANK 1")
    modules = read_memory_modules(root_with(tmp_path, table + END))
    assert modules is not None
    assert (modules.n_modules, modules.n_channels, modules.bytes_per_s) == (2, None, None)


def test_the_controllers_supply_the_channels(tmp_path: Path) -> None:
    table = device(16_384, kind=DDR4, configured=3200, bank="BANK 0") + device(
        16_384, kind=DDR4, configured=3200, bank="BANK 1"
    )
    root = root_with(tmp_path, table + END)
    tree(root, {
        f"sys/devices/system/edac/mc/mc0/dimm{n}/{name}": text
        for n in range(2)
        for name, text in (("size", "16384"), ("dimm_location", f"csrow {n} channel {n}"), ("dimm_mem_type", "Unbuffered-DDR4"))
    })  # fmt: skip
    modules = read_memory_modules(root)
    assert modules is not None
    assert (modules.n_channels, modules.bytes_per_s) == (2, 2 * 8 * 3.2e9)
    assert "edac" in modules.source
    assert "dmi" in modules.source


def test_two_modules_in_one_channel_are_one_channel(tmp_path: Path) -> None:
    files: dict[str, str] = {}
    for n in range(4):
        base = f"sys/devices/system/edac/mc/mc0/dimm{n}"
        files |= {f"{base}/size": "16384", f"{base}/dimm_location": f"channel {n // 2} slot {n % 2}"}
    modules = read_memory_modules(tree(tmp_path, files))
    assert modules is not None
    assert (modules.n_modules, modules.n_channels) == (4, 2)


def test_nothing_is_said_without_either(tmp_path: Path) -> None:
    assert read_memory_modules(tmp_path) is None


@given(st.binary(max_size=400))
def test_any_bytes_are_read_to_an_end(table: bytes) -> None:
    for module in memory_devices(table):
        assert module.size_bytes > 0


@given(st.integers(0, 200))
def test_a_table_cut_short_gives_what_came_before(cut: int) -> None:
    whole = device(16_384) + device(16_384) + END
    assert len(list(memory_devices(whole[: max(0, len(whole) - cut)]))) <= 2
    assert len(list(memory_devices(whole))) == 2
