"""What the numbers of a PCI device are called: AMD and Intel GPUs that can run models.

The kernel tells numbers; a name is needed to find the device's row. One id may be several products, told apart by
the revision: 1002:744c is an RX 7900 XTX, XT, GRE or 7900M.
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from profiles.errors import ProfileError

_FILE = "pci_devices.csv"
_COLUMNS = ("id", "vendor_id", "device_id", "revision", "name", "integrated", "source")


@dataclass(frozen=True, slots=True, kw_only=True)
class PciDevice:
    """One product: its name, and whether it works in main memory instead of memory of its own."""

    name: str
    is_integrated: bool
    source: str


def find_pci_device(vendor_id: int, device_id: int, revision: int | None = None) -> PciDevice | None:
    """The product with these numbers; None when nobody named it, or the revision would have to decide."""
    table = _devices()
    exact = None if revision is None else table.get((vendor_id, device_id, revision))
    return exact or table.get((vendor_id, device_id, None))


def pci_devices() -> Mapping[tuple[int, int, int | None], PciDevice]:
    """All of them by vendor, device and revision; a revision of None stands for every one."""
    return _devices()


@cache
def _devices() -> Mapping[tuple[int, int, int | None], PciDevice]:
    text = files("profiles").joinpath(_FILE).read_text(encoding="utf-8")
    found: dict[tuple[int, int, int | None], PciDevice] = {}
    for number, row in enumerate(csv.DictReader(io.StringIO(text, newline="")), start=2):
        if tuple(row) != _COLUMNS or not row["name"] or not row["source"]:
            raise ProfileError(f"{_FILE}, line {number}: expected the cells {', '.join(_COLUMNS)}")
        try:
            revision = int(row["revision"], 16) if row["revision"] else None
            key = int(row["vendor_id"], 16), int(row["device_id"], 16), revision
        except ValueError as error:
            raise ProfileError(f"{_FILE}, line {number}: ids are hexadecimal numbers: {error}") from error
        if key in found:
            raise ProfileError(f"{_FILE}, line {number}: {row['id']} stands there twice")
        found[key] = PciDevice(name=row["name"], is_integrated=row["integrated"] == "1", source=row["source"])
    return MappingProxyType(found)
