"""Which devices CUDA_VISIBLE_DEVICES leaves to a program, read as CUDA reads it.

Rules (CUDA programming guide, "CUDA Environment Variables"): indices and UUIDs (or unambiguous beginnings
of one), in the order given; the list ends at the first entry that names no device; empty hides everything.
https://docs.nvidia.com/cuda/cuda-programming-guide/05-appendices/environment-variables.html
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceIdentity:
    """What can name one device: its index and UUID; for a MIG slice also the card it is cut from."""

    index: int
    uuid: str | None
    card_uuid: str | None = None  # set for a MIG slice
    gpu_instance: int | None = None
    compute_instance: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Visible:
    """Positions of the visible devices in the order CUDA gives them, and the entry that ended the list."""

    positions: tuple[int, ...]
    stopped_at: str | None = None
    by_index: bool = False  # an entry was an index, so the order in which CUDA counts matters


def visible_devices(devices: Sequence[DeviceIdentity], setting: str | None) -> Visible:
    """The devices that `setting`, the value of CUDA_VISIBLE_DEVICES, leaves visible; None leaves all."""
    if setting is None:
        return Visible(positions=tuple(range(len(devices))))
    if not setting.strip():
        return Visible(positions=())
    positions: list[int] = []
    by_index = False
    for entry in (part.strip() for part in setting.split(",")):
        named = _named_by(entry, devices)
        if not named:
            return Visible(positions=tuple(positions), stopped_at=entry, by_index=by_index)
        by_index = by_index or entry.isdecimal()
        positions += [position for position in named if position not in positions]
    return Visible(positions=tuple(positions), by_index=by_index)


def _named_by(entry: str, devices: Sequence[DeviceIdentity]) -> list[int]:
    """Positions that one entry names: one device, or all slices of one card; empty when it names none."""
    if entry.isdecimal():
        return [position for position, device in enumerate(devices) if device.index == int(entry)]
    wanted = entry.casefold()
    if wanted.startswith("mig-gpu-"):  # the form of drivers before R470: MIG-<card UUID>/<gi>/<ci>
        return [
            position
            for position, device in enumerate(devices)
            if device.card_uuid is not None
            and f"mig-{device.card_uuid}/{device.gpu_instance}/{device.compute_instance}".casefold() == wanted
        ]
    if wanted.startswith("mig-"):
        found = [
            position
            for position, device in enumerate(devices)
            if device.card_uuid is not None and (device.uuid or "").casefold().startswith(wanted)
        ]
        return found if len(found) == 1 else []
    if not wanted.startswith("gpu-"):
        return []
    cards = {
        card
        for device in devices
        if (card := device.card_uuid or device.uuid) is not None and card.casefold().startswith(wanted)
    }
    if len(cards) != 1:  # none, or a beginning that several cards share
        return []
    return [position for position, device in enumerate(devices) if (device.card_uuid or device.uuid) in cards]
