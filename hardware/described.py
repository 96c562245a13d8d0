"""A machine in words: "2x RTX 4090, 64GiB" as a record like that of a machine that was looked at.

    machine     = file.json | node ["," memory] | description
    node        = the name of a whole machine                DGX H100 · p5.48xlarge · Mac Studio M4 Max 128GB
    description = part {"," part}
    part        = "cpu only" | memory | processors | gpus {"+" (gpus | memory)}
    gpus        = [count "x"] device [size] | [count "x"] given   2x RTX 4090 · 8xH100 SXM · A100 SXM 80GB
    given       = name "=" memory "@" bandwidth {"," fact}   my-gpu=24GiB@900GB/s,fp16=150T  (see hardware.given)
    processors  = [count "x"] processor [number "cores"]     EPYC 9654 · 2x EPYC 9654 · Xeon 1234 48 cores
    memory      = size [DDR type "-" MT/s] [channels "ch"]     96GiB DDR5-5600 · 512GiB DDR5-4800 12ch

"64GB" is 64·10⁹ bytes and "64GiB" is 64·2³⁰; a bare "64G" is refused. A file is one that
`planner hardware --format json` wrote. "4x p5.48xlarge" is four machines: see `described_machines`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from hardware.accelerators import Row, find_accelerator, is_device_name
from hardware.assembly import Ram, assemble
from hardware.cpus import CHANNEL_BYTES, MAX_SOCKETS, Processors, find_processors
from hardware.errors import DescriptionError, UnknownDeviceError
from hardware.given import given_accelerator, is_fact, with_fact
from hardware.machine_json import read_machine_file
from hardware.nodes import Node, find_node
from hardware.spec import Accelerator, Basis, Machine
from hardware.units import MB, TIB, format_bytes, format_rate_bytes_per_s, parse_size_bytes

_MAX_LENGTH = 300
_MAX_PATH_LENGTH = 4096
_MAX_GPUS = 1024
_MAX_MACHINES = 1024
_MAX_MEMORY_BYTES = 1024 * TIB
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
# "MI355X 288GB HBM3e": what kind of memory it is adds nothing.
_SIZE_BEHIND = re.compile(rf"(.*\S)\s+({_SIZE.pattern})(?:\s+(?:HBM|GDDR)\d[a-z]?)?", re.IGNORECASE)
_BARE_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_FILLER = re.compile(r"\b(?:of|ram|memory|main)\b", re.IGNORECASE)
# "Ryzen AI Max+ 395" keeps its plus: one that touches a word and is followed by " 395" joins nothing.
_PLUS = re.compile(r"\s+\+\s*|\+(?=\s*[A-Za-z])|\+(?=\s*\d+\s*[x×*])")
_COMMA = re.compile(r",(?![^()]*\))")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Equal devices as written; the record is found once the whole description is known."""

    count: int
    name: str
    device: Accelerator | None = None  # when its facts are given


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tables:
    """Where names are looked up; None means the profiles."""

    accelerators: tuple[Row, ...] | None
    nodes: tuple[Row, ...] | None
    cpus: tuple[Row, ...] | None


def describe_machine(
    text: str,
    rows: Iterable[Row] | None = None,
    *,
    nodes: Iterable[Row] | None = None,
    cpus: Iterable[Row] | None = None,
) -> Machine:
    """The machine that `text` describes, such as "RTX 4090, 96GiB DDR5-5600"; see the grammar above.

    `rows`, `nodes` and `cpus` stand in for the profiles. Raises DescriptionError, one line, for anything
    that is not understood, and for several machines.
    """
    machines = described_machines(text, rows, nodes=nodes, cpus=cpus)
    if len(machines) > 1:
        name = machines[0].name
        raise DescriptionError(
            f"{_shown(text)} means {len(machines)} machines, and here one is asked for; plan for '{name}', or "
            "gather the machines as a fleet with planner hardware --fleet"
        )
    return machines[0]


def described_machines(
    text: str,
    rows: Iterable[Row] | None = None,
    *,
    nodes: Iterable[Row] | None = None,
    cpus: Iterable[Row] | None = None,
) -> tuple[Machine, ...]:
    """The machines that `text` describes: one, or as many as "4x p5.48xlarge" says."""
    if text.strip().casefold().endswith(".json"):
        if len(text) > _MAX_PATH_LENGTH or not text.strip().isprintable():
            raise DescriptionError("the name of the machine's file is too long or cannot be printed")
        return (read_machine_file(Path(text.strip()).expanduser()),)
    if len(text) > _MAX_LENGTH:
        raise DescriptionError(
            f"a machine description has at most {_MAX_LENGTH} characters, this has {len(text)}"
        )
    # A table of one's own devices goes without the packaged machines, which are made of others.
    tables = _Tables(
        accelerators=None if rows is None else tuple(rows),
        nodes=() if nodes is None and rows is not None else None if nodes is None else tuple(nodes),
        cpus=None if cpus is None else tuple(cpus),
    )
    parts = [" ".join(part.split()) for part in _COMMA.split(text)]
    if not all(parts):
        raise _not_understood(text, "a part between commas is empty")
    count, node = _node(text, parts, tables)
    if node is None:
        return (_described(text, parts, tables),)
    ram = _joined(text, [memory for memory in (_ram(text, part) for part in parts[1:]) if memory is not None])
    if ram.bytes_per_s is not None:
        raise _not_understood(text, f"{node.name} has memory of its own speed; give just its size")
    return (node.machine(ram.size_bytes),) * count


def _node(text: str, parts: list[str], tables: _Tables) -> tuple[int, Node | None]:
    """The whole machine that the first part names, when nothing but memory follows, and how many of it."""
    if any(_ram(text, part) is None for part in parts[1:]):
        return 1, None
    node = find_node(parts[0], tables.nodes, tables.accelerators)
    if node is not None:
        return 1, node
    match = _COUNTED.fullmatch(parts[0]) or _COUNTED_BEHIND.fullmatch(parts[0])
    if match is None:
        return 1, None
    number, name = match.groups() if match.re is _COUNTED else reversed(match.groups())
    node = find_node(name, tables.nodes, tables.accelerators)
    if node is not None and not 1 <= int(number) <= _MAX_MACHINES:
        raise _not_understood(text, f"{number} is not a number of machines from 1 to {_MAX_MACHINES:,}")
    return int(number), node


def _described(text: str, parts: list[str], tables: _Tables) -> Machine:
    groups: list[_Group] = []
    memories: list[Ram] = []
    processors: list[Processors] = []
    cpu_only = False
    for part in parts:
        if _CPU_ONLY.fullmatch(part):
            cpu_only = True
        elif is_fact(part):
            if not groups or groups[-1].device is None:
                raise _not_understood(text, f"{part!r} follows no device with facts of its own")
            groups[-1] = replace(groups[-1], device=with_fact(groups[-1].device, part))
        elif (ram := _ram(text, part)) is not None:
            memories.append(ram)
        elif (found := _processors(part, tables)) is not None:
            processors.append(found)
        else:
            for words in _PLUS.split(part):
                ram = _ram(text, words.strip()) if words.strip() else None
                if ram is not None:
                    memories.append(ram)
                else:
                    groups.append(_group(text, words.strip()))
    if cpu_only and groups:
        raise _not_understood(text, f"it says both 'cpu only' and {groups[0].name!r}")
    if len(processors) > 1:
        raise _not_understood(text, "it gives two kinds of processors; write for example 2x EPYC 9654")
    if sum(group.count for group in groups) > _MAX_GPUS:
        raise _not_understood(text, f"one machine has at most {_MAX_GPUS} GPUs")
    cpus = processors[0] if processors else None
    ram = _on_channels_of(cpus, _joined(text, memories))
    devices = [
        device
        for group in groups
        for device in (group.device or _accelerator(text, group.name, ram.size_bytes, tables.accelerators),)
        for _ in range(group.count)
    ]
    if not devices and ram.size_bytes is None:
        raise _not_understood(text, "it has neither a GPU nor a memory size")
    try:
        return assemble(" ".join(text.split()), devices, ram, processors=cpus)
    except DescriptionError as error:
        raise _not_understood(text, str(error)) from error


def _processors(part: str, tables: _Tables) -> Processors | None:
    """The processors that a part names; a device of the same words is a GPU ("Ryzen AI Max+ 395")."""
    match = _COUNTED.fullmatch(part)
    count, name = (int(match[1]), match[2]) if match else (1, part)
    size = _SIZE_BEHIND.fullmatch(name)
    if count > MAX_SOCKETS or is_device_name(size[1] if size else name, tables.accelerators):
        return None
    return find_processors(name, count, tables.cpus)


def _on_channels_of(processors: Processors | None, ram: Ram) -> Ram:
    """Modules whose channels are not told are on those of the processor, not on the usual two."""
    if processors is None or processors.n_channels is None or ram.basis is not Basis.ASSUMED:
        return ram
    rate = (ram.bytes_per_s or 0.0) / _ASSUMED_CHANNELS * processors.n_channels
    note = (
        f"{processors.name}: all {processors.n_channels} memory channels fitted assumed "
        f"({format_rate_bytes_per_s(rate)}); add for example 8ch"
    )
    return replace(ram, bytes_per_s=rate, note=note)


def _accelerator(text: str, name: str, ram_bytes: int | None, rows: tuple[Row, ...] | None) -> Accelerator:
    """The device called `name`, which may end in a size: of its own memory, or of main memory for "M4 Max"."""
    try:
        return find_accelerator(name, rows)
    except UnknownDeviceError as error:
        first = error
    # "780M" at the end of a name that a device has is no size.
    size = None if is_device_name(name, rows) else _SIZE_BEHIND.fullmatch(name)
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
    message = str(first) if name == text else f"{_shown(text)}: {first}"
    raise DescriptionError(message) from first


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
    try:
        return _Group(count=count, name=name, device=given_accelerator(name))
    except DescriptionError as error:
        raise DescriptionError(f"{_shown(text)}: {error}") from error


def _ram(text: str, part: str) -> Ram | None:
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
        return Ram(size_bytes=size_bytes)
    transfers, n_channels = int(modules[0]), int(channels[0]) if channels else _ASSUMED_CHANNELS
    if not _TRANSFERS_RANGE[0] <= transfers <= _TRANSFERS_RANGE[1]:
        raise _not_understood(text, f"{transfers} MT/s is not a memory speed such as DDR5-5600")
    if not 1 <= n_channels <= _MAX_CHANNELS:
        raise _not_understood(
            text, f"{n_channels} is not a number of memory channels from 1 to {_MAX_CHANNELS}"
        )
    rate = float(n_channels * CHANNEL_BYTES * transfers * MB)
    note = f"{part}: two memory channels assumed ({format_rate_bytes_per_s(rate)}); add for example 8ch"
    return Ram(
        size_bytes=size_bytes,
        bytes_per_s=rate,
        basis=Basis.DERIVED if channels else Basis.ASSUMED,
        note=None if channels else note,
    )


def _joined(text: str, memories: list[Ram]) -> Ram:
    """One memory from all parts: "64GiB, DDR5-6000" is the same as "64GiB DDR5-6000"."""
    sizes = [ram for ram in memories if ram.size_bytes is not None]
    speeds = [ram for ram in memories if ram.bytes_per_s is not None]
    if len(sizes) > 1 or len(speeds) > 1:
        raise _not_understood(text, "it gives main memory twice")
    speed = speeds[0] if speeds else Ram()
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
