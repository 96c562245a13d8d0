"""Links between the GPUs of a machine other than PCI Express: NVLink, NVSwitch, xGMI."""

from hardware.spec import Machine

_FAST = ("nvlink", "nvswitch", "xgmi", "xe link")


def peer_link_bytes_per_s(machine: Machine) -> float | None:
    """One way between two GPUs over a link of their own; None where there is none, or nobody said so.

    The driver's list of peers counts most, then what a profiled machine states. SXM and OAM modules have such links
    by their form; a card that takes a bridge is not taken to have one.
    """
    if len(machine.gpus) < 2:
        return None
    stated = [gpu.accelerator.link_bytes_per_s if gpu.accelerator else None for gpu in machine.gpus]
    for gpu in machine.gpus:
        if gpu.details is None or not gpu.details.peers:
            continue
        if not all((peer.link or "").casefold() in _FAST for peer in gpu.details.peers):
            return None
        rates = [link.bytes_per_s for link in gpu.details.links if link.bytes_per_s is not None]
        return min(rates, default=min((rate for rate in stated if rate), default=None))
    if machine.interconnect is not None:
        return machine.interconnect.gpu_link_bytes_per_s
    modules = all(
        gpu.accelerator is not None
        and any(form in gpu.accelerator.id for form in ("sxm", "oam", "mi300", "mi325"))
        for gpu in machine.gpus
    )
    rates = [rate for rate in stated if rate is not None]
    return min(rates) if modules and len(rates) == len(machine.gpus) else None
