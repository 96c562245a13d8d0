"""Whole machines by name: "DGX H100", "p5.48xlarge", "Mac Studio M3 Ultra 512GB", from the profile rows.

Names match exactly, apart from brand, case and separators. Prices are kept elsewhere.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from hardware.accelerators import find_accelerator
from hardware.assembly import Ram, assemble
from hardware.cpus import CHANNEL_BYTES
from hardware.errors import UnknownDeviceError
from hardware.interconnect import Interconnect
from hardware.spec import Accelerator, Basis, Cpu, Machine
from hardware.units import GB, GIB, MB
from profiles.errors import ProfileError
from profiles.loader import node_rows

Row: TypeAlias = Mapping[str, str | None]

_BRANDS = frozenset({"nvidia", "aws", "azure", "gcp", "oci", "apple", "lambda", "google"})
_SEPARATORS = re.compile(r"[\s_()\-]+")
_GBIT_BYTES = GB / 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One kind of whole machine, as its maker or cloud describes it; None where nobody said."""

    id: str
    name: str
    kind: str  # server | rack | cloud | workstation | desktop | laptop
    accelerator: Accelerator | None
    n_accelerators: int
    cpu: Cpu | None
    ram: Ram
    interconnect: Interconnect
    local_disk_bytes: int | None
    recalled: tuple[str, ...]  # columns of the row that no opened source gave
    status: str
    checked_on: str | None
    source: str
    note: str | None

    def basis(self, column: str) -> Basis:
        """How well a column of the row is known: stated by a source that was read, or from memory."""
        return Basis.ASSUMED if column in self.recalled else Basis.VENDOR

    def machine(self, memory_bytes: int | None = None) -> Machine:
        """The machine, with its own main memory or that which the user gives."""
        devices = [] if self.accelerator is None else [self.accelerator] * self.n_accelerators
        ram = self.ram if memory_bytes is None else Ram(size_bytes=memory_bytes, bytes_per_s=self.ram.bytes_per_s, basis=self.ram.basis)  # fmt: skip
        return assemble(
            self.name, devices, ram, cpu=self.cpu, interconnect=self.interconnect, notes=self._notes()
        )

    def _notes(self) -> tuple[str, ...]:
        if self.status == "typical":
            return (f"{self.name}: a typical build, not a product; describe your own parts instead",)
        if self.recalled:
            words = ", ".join(column.replace("_", " ") for column in self.recalled)
            return (f"{self.name}: from memory, no source opened: {words}",)
        return ()


def find_node(
    name: str,
    rows: Iterable[Row] | None = None,
    accelerators: Iterable[Mapping[str, str | None]] | None = None,
) -> Node | None:
    """The whole machine of exactly this name, such as "DGX H100" or "p5.48xlarge"; None when there is none."""
    key = _key(name)
    table: Sequence[Row] = node_rows() if rows is None else tuple(rows)
    found = [row for row in table if key and key in _keys(row)]
    return node_from_row(found[-1], accelerators) if found else None


def all_nodes(rows: Iterable[Row] | None = None) -> tuple[Node, ...]:
    """Every profiled whole machine."""
    return tuple(node_from_row(row) for row in (node_rows() if rows is None else rows))


def node_from_row(row: Row, accelerators: Iterable[Mapping[str, str | None]] | None = None) -> Node:
    """One profile row as a record in base units."""
    recalled = tuple(name for name in (row.get("recalled") or "").split(";") if name)
    memory_gib = _number(row, "memory_gib")
    memory_bytes = None if memory_gib is None else round(memory_gib * GIB)
    count = int(_number(row, "n_accelerators") or 0)
    accelerator = None
    if row.get("accelerator_id"):
        accelerator = _accelerator(row["accelerator_id"] or "", memory_bytes, accelerators)
    nic = _number(row, "nic_gbit_per_s")
    link, disk = _number(row, "gpu_link_gb_per_s"), _number(row, "nvme_gb")
    n_nics = _number(row, "n_nics")
    return Node(
        id=row["id"] or "",
        name=row["name"] or "",
        kind=row["kind"] or "",
        accelerator=accelerator,
        n_accelerators=count,
        cpu=_cpu(row),
        ram=_ram(row, memory_bytes, recalled),
        interconnect=Interconnect(
            gpu_link=row.get("gpu_link"),
            gpu_link_bytes_per_s=None if link is None else link * GB,
            n_nics=None if n_nics is None else int(n_nics),
            nic_bytes_per_s=None if nic is None else nic * _GBIT_BYTES,
        ),
        local_disk_bytes=None if disk is None else round(disk * GB),
        recalled=recalled,
        status=row.get("status") or "one-source",
        checked_on=row.get("checked_on"),
        source=row.get("source") or "",
        note=row.get("note"),
    )


def _accelerator(
    name: str, memory_bytes: int | None, rows: Iterable[Mapping[str, str | None]] | None
) -> Accelerator:
    table = None if rows is None else tuple(rows)
    try:
        return find_accelerator(name, table)
    except UnknownDeviceError:
        if memory_bytes is None:
            raise
    return find_accelerator(name, table, memory_bytes=memory_bytes)  # sold with a choice of main memory


def _cpu(row: Row) -> Cpu | None:
    """The processors, as far as a row tells: a cloud gives a number of threads and often no model."""
    sockets, cores = _number(row, "n_sockets"), _number(row, "n_physical_cores")
    threads = _number(row, "n_threads") or cores
    if threads is None:
        return None
    return Cpu(
        model=row.get("cpu_model") or "unknown model",
        n_sockets=None if sockets is None else int(sockets),
        n_physical_cores=None if cores is None else int(cores),
        n_usable_threads=int(threads),
    )


def _ram(row: Row, memory_bytes: int | None, recalled: tuple[str, ...]) -> Ram:
    """Main memory; its speed is what the row states, or its channels times the rate of its modules."""
    stated, rate = _number(row, "memory_gb_per_s"), _number(row, "memory_mt_per_s")
    channels = _number(row, "n_memory_channels")
    if stated is not None:
        basis = Basis.ASSUMED if "memory_gb_per_s" in recalled else Basis.VENDOR
        return Ram(size_bytes=memory_bytes, bytes_per_s=stated * GB, basis=basis)
    if rate is None or channels is None:
        return Ram(size_bytes=memory_bytes)
    unsure = {"memory_mt_per_s", "n_memory_channels"} & set(recalled) or row.get("status") == "typical"
    return Ram(
        size_bytes=memory_bytes,
        bytes_per_s=float(channels * CHANNEL_BYTES * rate * MB),
        basis=Basis.ASSUMED if unsure else Basis.DERIVED,
    )


def _number(row: Row, column: str) -> float | None:
    value = row.get(column)
    if not value:
        return None
    try:
        return float(value)
    except ValueError as error:
        raise ProfileError(
            f"nodes.csv: row {row.get('id')!r} has {column} = {value[:40]!r}; write a number"
        ) from error


def _key(name: str) -> str:
    words = [word for word in _SEPARATORS.split(name.casefold()) if word]
    while len(words) > 1 and words[0] in _BRANDS:
        words = words[1:]
    return "".join(words)


def _keys(row: Row) -> set[str]:
    names = [row.get("id") or "", row.get("name") or "", *(row.get("aliases") or "").split(";")]
    return {_key(name) for name in names if name.strip()}
