"""Which memory modules a machine has: channels from the memory controllers, type and speed from firmware.

The controllers' driver (EDAC) tells channels to everyone but exists on servers only; the firmware's table (SMBIOS
type 17, DMTF DSP0134 section 7.18) tells speed and type but is readable by root only. Neither exists in most
virtual machines, and then nothing is said: a processor's number of channels says nothing about how many are filled.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hardware.host_details import MemoryModules
from hardware.probes.kernel_files import MAX_FILE_BYTES, KernelFolder
from hardware.units import KIB, MB, MIB, TIB

_CHANNEL_BITS = 64  # of a DDR channel; DDR5 splits it into two halves that are always filled together
_EDAC_CHANNEL = re.compile(r"channel (\d+)")
_NAMED_CHANNEL = re.compile(r"channel[ _-]*([A-Z0-9]{1,2})\b", re.IGNORECASE)
_NODE = re.compile(r"(?:\bnode|\bP|\bCPU)[ _-]*(\d{1,2})", re.IGNORECASE)
# SMBIOS 3.7, table 78 "Memory Device: Type".
_KINDS = {
    0x18: "DDR3", 0x1A: "DDR4", 0x1D: "LPDDR3", 0x1E: "LPDDR4", 0x20: "HBM", 0x21: "HBM2", 0x22: "DDR5",
    0x23: "LPDDR5", 0x24: "HBM3",
}  # fmt: skip
_EDAC_KINDS = re.compile(r"(?:Unbuffered-|Registered-|Load-Reduced-|Low-Power-)?(LP)?(DDR\d|HBM\d?)")
_MEMORY_DEVICE = 17
_END = 127
_MAX_MODULE_BYTES = 16 * TIB  # far beyond any module; more is damage
_MIN_DEVICE_LENGTH = 0x17


@dataclass(frozen=True, slots=True, kw_only=True)
class _Module:
    size_bytes: int
    data_bits: int | None
    kind: str | None
    transfers_per_s: float | None
    locator: str


def read_memory_modules(root: Path = Path("/"), failures: list[str] | None = None) -> MemoryModules | None:
    """The memory modules, from the controllers' driver and the firmware's table as far as each may be read."""
    edac = _edac(root, failures)
    firmware = _firmware(root)
    if firmware is None:
        return edac
    if edac is None or firmware.n_channels is not None:
        return firmware
    return MemoryModules(
        source=f"{edac.source}, {firmware.source}",
        n_modules=firmware.n_modules,
        n_channels=edac.n_channels,
        kind=firmware.kind,
        transfers_per_s=firmware.transfers_per_s,
        channel_bits=firmware.channel_bits,
        size_bytes=firmware.size_bytes,
    )


def _edac(root: Path, failures: list[str] | None) -> MemoryModules | None:
    """/sys/devices/system/edac/mc/mc0/dimm3/{size,dimm_location,dimm_mem_type}; sizes are in MiB."""
    name = "sys/devices/system/edac/mc"
    channels: set[tuple[str, str]] = set()
    kinds: set[str] = set()
    n_modules = size_bytes = 0
    unplaced = False
    for controller in KernelFolder(root / name, failures).folders("mc[0-9]*"):
        for module in controller.folders("dimm[0-9]*"):
            size = module.number("size")
            if not size or size * MIB > _MAX_MODULE_BYTES:
                continue
            n_modules += 1
            size_bytes += size * MIB
            place = _EDAC_CHANNEL.search(module.line("dimm_location") or "")
            unplaced = unplaced or place is None
            if place is not None:
                channels.add((controller.path.name, place.group(1)))
            kind = _EDAC_KINDS.match(module.line("dimm_mem_type") or "")
            if kind is not None:
                kinds.add(f"{kind.group(1) or ''}{kind.group(2)}")
    if not n_modules:
        return None
    return MemoryModules(
        source=f"/{name}",
        n_modules=n_modules,
        n_channels=None if unplaced else len(channels),
        kind=kinds.pop() if len(kinds) == 1 else None,
        channel_bits=_CHANNEL_BITS,
        size_bytes=size_bytes,
    )


def _firmware(root: Path) -> MemoryModules | None:
    file = root / "sys/firmware/dmi/tables/DMI"
    try:
        with file.open("rb") as stream:
            table = stream.read(MAX_FILE_BYTES)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None  # no firmware table, or not for this user: both are normal
    modules = list(memory_devices(table))
    if not modules:
        return None
    rates = {module.transfers_per_s for module in modules}
    kinds = {module.kind for module in modules}
    bits = {module.data_bits for module in modules}
    return MemoryModules(
        source="/sys/firmware/dmi/tables/DMI",
        n_modules=len(modules),
        n_channels=_named_channels(modules),
        kind=kinds.pop() if len(kinds) == 1 else None,
        # Mixed modules all run at the slowest one's speed.
        transfers_per_s=None if None in rates else min(rate for rate in rates if rate is not None),
        channel_bits=bits.pop() if len(bits) == 1 else None,
        size_bytes=sum(module.size_bytes for module in modules),
    )


def _named_channels(modules: list[_Module]) -> int | None:
    """Channels by the names that the board gives its slots ("P0 CHANNEL A"); None when one slot names none."""
    channels = set()
    for module in modules:
        channel, node = _NAMED_CHANNEL.search(module.locator), _NODE.search(module.locator)
        if channel is None:
            return None
        channels.add((None if node is None else node.group(1), channel.group(1).upper()))
    return len(channels)


def memory_devices(table: bytes) -> Iterator[_Module]:
    """The filled memory slots of an SMBIOS table; a table that ends early gives what came before."""
    offset = 0
    while offset + 4 <= len(table):
        kind, length = table[offset], table[offset + 1]
        if length < 4 or kind == _END:
            return
        body = table[offset : offset + length]
        end = table.find(b"\0\0", offset + length)
        if end < 0 or len(body) < length:
            return
        if kind == _MEMORY_DEVICE and length >= _MIN_DEVICE_LENGTH:
            strings = table[offset + length : end].split(b"\0")
            module = _module(body, strings)
            if module is not None:
                yield module
        offset = end + 2


def _module(body: bytes, strings: list[bytes]) -> _Module | None:
    """One slot; offsets are those of DSP0134, table 77."""
    size = _word(body, 0x0C)
    if size in (0, 0xFFFF):  # empty, or unknown
        return None
    if size == 0x7FFF and len(body) >= 0x20:  # 32 GiB and more stand in the extended field, in MiB
        size_bytes = (struct.unpack_from("<I", body, 0x1C)[0] & 0x7FFFFFFF) * MIB
    else:
        size_bytes = (size & 0x7FFF) * (KIB if size & 0x8000 else MIB)
    if not 0 < size_bytes <= _MAX_MODULE_BYTES:
        return None
    bits = _word(body, 0x0A)
    speed = _word(body, 0x20) if len(body) >= 0x22 else 0  # configured
    if speed in (0, 0xFFFF):
        speed = _word(body, 0x15)
    return _Module(
        size_bytes=size_bytes,
        data_bits=None if bits in (0, 0xFFFF) else bits,
        kind=_KINDS.get(body[0x12]),
        transfers_per_s=None if speed in (0, 0xFFFF) else float(speed * MB),
        locator=f"{_string(strings, body[0x10])} {_string(strings, body[0x11])}",
    )


def _word(body: bytes, offset: int) -> int:
    return int(struct.unpack_from("<H", body, offset)[0])


def _string(strings: list[bytes], number: int) -> str:
    return strings[number - 1].decode("latin-1")[:80] if 0 < number <= len(strings) else ""
