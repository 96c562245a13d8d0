"""A machine in words: "2x RTX 4090, 64GiB" as a record like that of a machine that was looked at.

    description = part {"," part}
    part        = "cpu only" | memory | gpus {"+" gpus}
    gpus        = [count "x"] device [size]          2x RTX 4090 · 8xH100 SXM · A100 SXM 80GB
    memory      = size [DDR type "-" MT/s] [channels "ch"]     96GiB DDR5-5600 · 512GiB DDR5-4800 12ch

"64GB" is 64·10⁹ bytes and "64GiB" is 64·2³⁰; a bare "64G" is refused.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from hardware.accelerators import Row, find_accelerator
from hardware.errors import DescriptionError, UnknownDeviceError
from hardware.spec import Accelerator, Basis, Gpu, Machine, Memory
from hardware.unified import mac_gpu_bytes, mac_note, shared_note
from hardware.units import MB, TIB, format_bytes, format_rate_bytes_per_s, parse_size_bytes

_MAX_LENGTH = 300
_MAX_GPUS = 1024
_MAX_MEMORY_BYTES = 1024 * TIB
_CHANNEL_BYTES = 8  # a DDR channel moves 64 bits per transfer (DDR5 splits them in two halves of 32)
_ASSUMED_CHANNELS = 2
_MAX_CHANNELS = 24
_MAX_SHOWN = 120
_TRANSFERS_RANGE = (200, 20_000)  # MT/s, DDR1 to beyond today's fastest modules

_CPU_ONLY = re.compile(r"(?:cpu|cpu[ -]only|no[ -]gpus?)", re.IGNORECASE)
# "2x RTX 4090", "2xH100" and "2 x H100", but not "7900 XTX".
_COUNTED = re.compile(r"(\d{1,9})(?:[x×*]\s*|\s+[x×*]\s+)(\S.*)", re.IGNORECASE)
_COUNTED_BEHIND = re.compile(r"(.+?)\s+[x×*]\s*(\d{1,9})", re.IGNORECASE)
_SIZE = re.compile(r"(?<![\w.-])\d+(?:\.\d+)?\s*(?:[KMGT](?:i?B)?)(?![\w-])", re.IGNORECASE)
_MODULES = re.compile(r"(?<![\w-])(?:LP)?DDR\dX?-(\d{3,6})(?:\s*MT/s)?(?![\w-])", re.IGNORECASE)
_CHANNELS = re.compile(r"(?<![\w.-])(\d{1,3})[ -]?(?:ch|channels?)(?!\w)", re.IGNORECASE)
_SIZE_BEHIND = re.compile(rf"(.*\S)\s+({_SIZE.pattern})", re.IGNORECASE)
_BARE_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_FILLER = re.compile(r"\b(?:of|ram|memory|main)\b", re.IGNORECASE)
# "Ryzen AI Max+ 395" keeps its plus: one that touches a word and is followed by " 395" joins nothing.
_PLUS = re.compile(r"\s+\+\s*|\+(?=\s*[A-Za-z])|\+(?=\s*\d+\s*[x×*])")
_COMMA = re.compile(r",(?![^()]*\))")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ram:
    size_bytes: int | None = None
    bytes_per_s: float | None = None
    basis: Basis | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Equal devices as written; the record is found once the whole description is known."""

    count: int
    name: str


def describe_machine(text: str, rows: Iterable[Row] | None = None) -> Machine:
    """The machine that `text` describes, such as "RTX 4090, 96GiB DDR5-5600"; see the grammar above.

    Raises DescriptionError, one line, for anything that is not understood.
    """
    if len(text) > _MAX_LENGTH:
        raise DescriptionError(
            f"a machine description has at most {_MAX_LENGTH} characters, this has {len(text)}"
        )
    table = None if rows is None else tuple(rows)
    parts = [" ".join(part.split()) for part in _COMMA.split(text)]
    if not all(parts):
        raise _not_understood(text, "a part between commas is empty")
    groups: list[_Group] = []
    memories: list[_Ram] = []
    cpu_only = False
    for part in parts:
        ram = None if _CPU_ONLY.fullmatch(part) else _ram(text, part)
        if ram is not None:
            memories.append(ram)
        elif _CPU_ONLY.fullmatch(part):
            cpu_only = True
        else:
            groups += [_group(text, words.strip()) for words in _PLUS.split(part)]
    if cpu_only and groups:
        raise _not_understood(text, f"it says both 'cpu only' and {groups[0].name!r}")
    if sum(group.count for group in groups) > _MAX_GPUS:
        raise _not_understood(text, f"one machine has at most {_MAX_GPUS} GPUs")
    return _machine(text, groups, _joined(text, memories), table)


def _machine(text: str, groups: list[_Group], ram: _Ram, rows: tuple[Row, ...] | None) -> Machine:
    found = [(group.count, _accelerator(text, group.name, ram.size_bytes, rows)) for group in groups]
    ram_bytes = ram.size_bytes
    notes = [ram.note] if ram.note else []
    n_gpus = sum(count for count, _ in found)
    shared = next((accelerator for _, accelerator in found if accelerator.unified_memory), None)
    gpu_bytes = None
    if shared is not None:
        if n_gpus > 1:
            raise _not_understood(
                text, f"{shared.name} uses main memory, so a machine has just one; describe each by itself"
            )
        ram_bytes = ram_bytes or shared.memory_bytes
        is_mac = shared.vendor.casefold() == "apple"
        gpu_bytes = mac_gpu_bytes(ram_bytes) if is_mac else ram_bytes
        notes.append(
            mac_note(shared.name, ram_bytes, gpu_bytes) if is_mac else shared_note(shared.name, ram_bytes)
        )
    elif n_gpus == 0 and ram_bytes is None:
        raise _not_understood(text, "it has neither a GPU nor a memory size")
    devices = [accelerator for count, accelerator in found for _ in range(count)]
    gpus = tuple(
        Gpu(
            index=index,
            name=accelerator.name,
            memory_bytes=gpu_bytes if accelerator.unified_memory else accelerator.memory_bytes,
            free_bytes=None,
            accelerator=accelerator,
            backend=_backend(accelerator),
            compute_capability=accelerator.compute_capability,
        )
        for index, accelerator in enumerate(devices)
    )
    rate, basis = ram.bytes_per_s, ram.basis
    if rate is None and shared is not None:  # processor and GPU draw on the same memory
        rate, basis = shared.memory_bytes_per_s, Basis.VENDOR
    return Machine(
        name=" ".join(text.split()),
        cpu=None,
        memory=None if ram_bytes is None else Memory(total_bytes=ram_bytes, available_bytes=ram_bytes),
        gpus=gpus,
        described=True,
        problems=tuple(notes),
        cpu_memory_bytes_per_s=rate,
        cpu_memory_basis=basis,
    )


_BACKENDS = {"nvidia": "cuda", "amd": "rocm", "apple": "metal", "intel": "sycl"}


def _backend(accelerator: Accelerator) -> str:
    return _BACKENDS.get(accelerator.vendor.casefold(), accelerator.vendor.casefold())


def _accelerator(text: str, name: str, ram_bytes: int | None, rows: tuple[Row, ...] | None) -> Accelerator:
    """The device called `name`, which may end in a size: of its own memory, or of main memory for "M4 Max"."""
    try:
        return find_accelerator(name, rows)
    except UnknownDeviceError as error:
        first = error
    size = _SIZE_BEHIND.fullmatch(name)
    try:
        if size is not None:
            device = find_accelerator(size.group(1), rows, memory_bytes=_size(text, size.group(2)))
            if device.unified_memory and ram_bytes not in (None, device.memory_bytes):
                raise _not_understood(
                    text, f"{name!r} and the main memory give two sizes for the same memory"
                )
            return device
        if ram_bytes is not None:
            device = find_accelerator(name, rows, memory_bytes=ram_bytes)
            if device.unified_memory:
                return device
    except UnknownDeviceError as error:
        if size is not None:
            first = error
    if _BARE_NUMBER.fullmatch(name):
        raise _not_understood(text, f"{name!r} is neither a device nor a size with a unit") from first
    raise DescriptionError(f"{_shown(text)}: {first}") from first


def _group(text: str, words: str) -> _Group:
    if not words:
        raise _not_understood(text, "a device next to a plus is missing")
    match = _COUNTED.fullmatch(words)
    count, name = (int(match.group(1)), match.group(2)) if match else (1, words)
    if match is None and (match := _COUNTED_BEHIND.fullmatch(words)):
        count, name = int(match.group(2)), match.group(1)
    if count > _MAX_GPUS and words[0].isdecimal() and " " not in words:
        return _Group(count=1, name=words)  # "7900XTX" is a name
    if not 1 <= count <= _MAX_GPUS:
        raise _not_understood(text, f"{count} is not a number of GPUs from 1 to {_MAX_GPUS}")
    return _Group(count=count, name=name)


def _ram(text: str, part: str) -> _Ram | None:
    """The memory that a part describes, or None when it holds words that do not belong to memory."""
    sizes, modules, channels = _SIZE.findall(part), _MODULES.findall(part), _CHANNELS.findall(part)
    rest = part
    for pattern in (_SIZE, _MODULES, _CHANNELS, _FILLER):
        rest = pattern.sub(" ", rest)
    if rest.strip() or not (sizes or modules):
        return None
    if max(len(sizes), len(modules), len(channels)) > 1:
        raise _not_understood(text, f"{part!r} gives two values for one memory")
    if channels and not modules:
        raise _not_understood(text, f"{part!r} gives channels but no module speed such as DDR5-5600")
    size_bytes = _size(text, sizes[0]) if sizes else None
    if not modules:
        return _Ram(size_bytes=size_bytes)
    transfers, n_channels = int(modules[0]), int(channels[0]) if channels else _ASSUMED_CHANNELS
    if not _TRANSFERS_RANGE[0] <= transfers <= _TRANSFERS_RANGE[1]:
        raise _not_understood(text, f"{transfers} MT/s is not a memory speed such as DDR5-5600")
    if not 1 <= n_channels <= _MAX_CHANNELS:
        raise _not_understood(
            text, f"{n_channels} is not a number of memory channels from 1 to {_MAX_CHANNELS}"
        )
    rate = float(n_channels * _CHANNEL_BYTES * transfers * MB)
    note = f"{part}: two memory channels assumed ({format_rate_bytes_per_s(rate)}); add for example 8ch"
    return _Ram(
        size_bytes=size_bytes,
        bytes_per_s=rate,
        basis=Basis.DERIVED if channels else Basis.ASSUMED,
        note=None if channels else note,
    )


def _joined(text: str, memories: list[_Ram]) -> _Ram:
    """One memory from all parts: "64GiB, DDR5-6000" is the same as "64GiB DDR5-6000"."""
    sizes = [ram for ram in memories if ram.size_bytes is not None]
    speeds = [ram for ram in memories if ram.bytes_per_s is not None]
    if len(sizes) > 1 or len(speeds) > 1:
        raise _not_understood(text, "it gives main memory twice")
    speed = speeds[0] if speeds else _Ram()
    return replace(speed, size_bytes=sizes[0].size_bytes if sizes else None)


def _size(text: str, words: str) -> int:
    try:
        size_bytes = parse_size_bytes(words)
    except ValueError as error:
        raise _not_understood(text, str(error)) from error
    if not 1 <= size_bytes <= _MAX_MEMORY_BYTES:
        raise _not_understood(text, f"{words} is not a memory size up to {format_bytes(_MAX_MEMORY_BYTES)}")
    return size_bytes


def _not_understood(text: str, why: str) -> DescriptionError:
    return DescriptionError(
        f"{_shown(text)} is not a machine: {why}; write for example '2x RTX 4090, 64GiB' or 'cpu only, 64GiB'"
    )


def _shown(text: str) -> str:
    """The text as one line that is safe to print."""
    return repr(text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…")
