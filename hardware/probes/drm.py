"""Graphics cards as the Linux kernel lists them in /sys/class/drm, whoever made them.

https://docs.kernel.org/PCI/sysfs-pci.html; `PCI_SLOT_NAME` in uevent is the address that lspci prints.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hardware.gpu_details import PcieLink
from hardware.probes.kernel_files import KernelFolder, numbered
from profiles.pci_devices import PciDevice, find_pci_device

AMD = 0x1002
INTEL = 0x8086
_CARD = re.compile(r"card\d{1,4}")
_RENDER = re.compile(r"renderD(\d{1,4})")
_SPEED = re.compile(r"(\d+(?:\.\d+)?) GT/s")
_GENERATIONS = {2.5: 1, 5.0: 2, 8.0: 3, 16.0: 4, 32.0: 5, 64.0: 6}
_MAX_PARENTS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class DrmCard:
    """One card: where its files are, what its PCI numbers are, and the name that goes with them."""

    name: str  # "card1"
    folder: KernelFolder  # /sys/class/drm/card1
    device: KernelFolder  # the PCI device's own folder
    vendor_id: int
    device_id: int
    revision: int | None
    address: str | None  # "0000:03:00.0"
    render_minor: int | None  # 128 for /dev/dri/renderD128
    driver: str | None
    numa_node: int | None
    known: PciDevice | None
    has_node: bool | None  # /dev/dri has its file, so a program here may use it; None when /dev is not shown

    @property
    def ids(self) -> str:
        """The PCI numbers as lspci prints them: "1002:744c rev c8"."""
        revision = "" if self.revision is None else f" rev {self.revision:02x}"
        return f"{self.vendor_id:04x}:{self.device_id:04x}{revision}"


def read_drm_cards(root: Path, vendors: Iterable[int]) -> list[DrmCard]:
    """The cards of these vendors, in the kernel's order; each collects its own failures."""
    wanted = frozenset(vendors)
    cards = []
    for path in numbered(root / "sys/class/drm", "card[0-9]*"):
        if _CARD.fullmatch(path.name) is None:
            continue  # connectors: card0-HDMI-A-1
        failures: list[str] = []
        device = KernelFolder(path / "device", failures)
        vendor_id, device_id = device.number("vendor"), device.number("device")
        if vendor_id not in wanted or vendor_id is None or device_id is None:
            continue
        cards.append(_card(root, path, device, vendor_id, device_id))
    return cards


def pcie_link(card: DrmCard) -> PcieLink:
    """The card's link to its slot, at its slowest place that can be seen.

    Radeon and Arc cards carry a PCI Express switch of their own: the GPU's function then tells the link inside
    the card (an Arc says 2.5 GT/s x1), and the switch's upper end tells the slot's.
    """
    end = _card_end(card)
    return PcieLink(
        address=card.address,
        generation=_generation(end.line("current_link_speed")),
        max_generation=_generation(end.line("max_link_speed")),
        width=_width(end.number("current_link_width")),
        max_width=_width(end.number("max_link_width")),
    )


def _card(root: Path, path: Path, device: KernelFolder, vendor_id: int, device_id: int) -> DrmCard:
    revision = device.number("revision")
    events = dict(line.split("=", 1) for line in (device.text("uevent") or "").splitlines() if "=" in line)
    node = device.line("numa_node") or ""
    minors = [
        int(match.group(1))
        for entry in numbered(path / "device/drm", "renderD[0-9]*")
        if (match := _RENDER.fullmatch(entry.name)) is not None
    ]
    minor = minors[0] if minors else None
    nodes = root / "dev/dri"
    shown = None
    if minor is not None and (root / "dev").is_dir():
        shown = (nodes / f"renderD{minor}").exists()
    return DrmCard(
        name=path.name,
        folder=KernelFolder(path, device.failures),
        device=device,
        vendor_id=vendor_id,
        device_id=device_id,
        revision=revision,
        address=events.get("PCI_SLOT_NAME", "").lower() or None,
        render_minor=minor,
        driver=events.get("DRIVER") or None,
        numa_node=int(node) if node.isdecimal() and len(node) < 5 else None,  # -1 on one-node machines
        known=find_pci_device(vendor_id, device_id, revision),
        has_node=shown,
    )


def _card_end(card: DrmCard) -> KernelFolder:
    """The folder whose link is the slot's: the GPU's own, or the upper end of a switch on the card."""
    parents = list(card.device.path.resolve().parents)[:_MAX_PARENTS]
    bridges = []
    for path in parents:
        folder = KernelFolder(path)
        vendor_id = folder.number("vendor")
        if vendor_id is None:
            break
        bridges.append((vendor_id, folder))
    # Lower end, upper end, and above them a port of the processor; an integrated GPU has only the last.
    if len(bridges) >= 3 and all(vendor_id == card.vendor_id for vendor_id, _ in bridges[:2]):
        return KernelFolder(bridges[1][1].path, card.device.failures)
    return card.device


def _generation(line: str | None) -> int | None:
    match = _SPEED.search(line or "")
    return None if match is None else _GENERATIONS.get(float(match.group(1)))


def _width(number: int | None) -> int | None:
    return number if number in (1, 2, 4, 8, 12, 16, 32) else None  # 0 and 255 stand for unknown
