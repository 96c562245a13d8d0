"""One line for each thing about the NVIDIA GPUs that a person should know or can mend."""

from collections.abc import Mapping, Sequence

from hardware.gpu_details import GpuDetails
from hardware.probes.cuda_visible import Visible
from hardware.probes.nvidia_details import HARMFUL_REASONS, IDLE, DriverFacts
from hardware.probes.nvidia_query import error_words
from hardware.spec import Gpu
from hardware.units import format_bytes

_MAX_SHOWN = 80
_MAX_LISTED = 4
_NARROW_LANES = 4
_BUSY_FRACTION = 0.05

_ADVICE = {
    "NVMLError_LibRmVersionMismatch": (
        "the driver was updated while its old module is loaded; restart the machine"
    ),
    "NVMLError_NoPermission": "let this user open /dev/nvidiactl, or start the container with its GPUs",
    "NVMLError_Unknown": "run nvidia-smi; in a container, start it again (its access to /dev/nvidia* is gone)",
}
_ELSE = "run nvidia-smi, then restart or reinstall the driver"


def broken_driver(error: Exception) -> str:
    """The line for a driver that did not start, with what helps."""
    advice = _ADVICE.get(type(error).__name__, _ELSE)
    return f"NVIDIA driver: {error_words(error)}; its GPUs are left out; {advice}"


def missing_driver(environ: Mapping[str, str]) -> str | None:
    """The line for a container that asks for GPUs but was started without the driver; None otherwise."""
    asked = environ.get("NVIDIA_VISIBLE_DEVICES", "").strip()
    if asked.casefold() in ("", "void", "none"):
        return None
    return (
        f"NVIDIA_VISIBLE_DEVICES={asked[:_MAX_SHOWN]!r} asks for GPUs, but no driver is here; if this machine has "
        "them, start the container with --gpus all"
    )


def no_devices(environ: Mapping[str, str]) -> str | None:
    """The line for a driver that shows no device; None when nothing says why."""
    asked = environ.get("NVIDIA_VISIBLE_DEVICES")
    if asked is None:
        return None
    return f"NVIDIA_VISIBLE_DEVICES={asked[:_MAX_SHOWN]!r} leaves this container without GPUs"


def visibility_remarks(
    visible: Visible, all_gpus: Sequence[Gpu], environ: Mapping[str, str]
) -> tuple[str, ...]:
    """What CUDA_VISIBLE_DEVICES hides, where it ends early, and whether its order is certain."""
    setting = repr(environ.get("CUDA_VISIBLE_DEVICES", "")[:_MAX_SHOWN])
    lines = []
    hidden = [gpu for at, gpu in enumerate(all_gpus) if at not in visible.positions]
    if hidden:
        names = ", ".join(f"GPU {gpu.index} ({gpu.name})" for gpu in hidden)
        lines.append(f"CUDA_VISIBLE_DEVICES={setting} hides {names}")
    if visible.stopped_at is not None:
        lines.append(
            f"CUDA_VISIBLE_DEVICES={setting}: {visible.stopped_at[:_MAX_SHOWN]!r} names no device here, "
            "so CUDA ends the list before it"
        )
    mixed = len({gpu.name for gpu in all_gpus}) > 1
    if hidden and visible.by_index and mixed and environ.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        lines.append(
            "CUDA_VISIBLE_DEVICES is read in the order of nvidia-smi, but CUDA may count unlike GPUs fastest "
            "first; set CUDA_DEVICE_ORDER=PCI_BUS_ID to be sure"
        )
    return tuple(lines)


def gpu_remarks(gpus: Sequence[Gpu], driver: DriverFacts) -> tuple[str, ...]:
    """Troubles of the visible GPUs; GPUs with the same trouble share one line."""
    lines: dict[str, list[Gpu]] = {}
    for gpu in gpus:
        for line in _about(gpu):
            lines.setdefault(line, []).append(gpu)
    remarks = [f"{_named(who)}: {line}" for line, who in lines.items()]
    if driver.refused:
        remarks.append(f"NVIDIA driver: no answer about {'; '.join(driver.refused)}; the rest is shown")
    if driver.accepts_work is False:
        remarks.append(
            "confidential computing is on but the GPUs accept no work yet; attest them, then run "
            "nvidia-smi conf-compute -srs 1"
        )
    return (*remarks, *_slice_remarks(gpus))


def _about(gpu: Gpu) -> list[str]:
    """The lines about one GPU, without its name."""
    if gpu.problem is not None:
        return [gpu.problem]
    lines = []
    unified = gpu.details is not None and gpu.details.unified_memory
    if unified and gpu.memory_bytes is not None:
        lines.append(shared_memory_line(gpu.memory_bytes))
    if gpu.accelerator is None:
        size = "" if gpu.memory_bytes is None or unified else f" with {format_bytes(gpu.memory_bytes)}"
        lines.append(f"no profile for it{size}, so its speed is unknown; add a row to accelerators.csv")
    details = gpu.details
    if details is None:
        return lines
    if details.not_answered:
        lines.append(f"no answer about {'; '.join(details.not_answered)}; the rest is shown")
    return lines + _throttle_lines(details) + _pcie_lines(details) + _fabric_lines(details)


def shared_memory_line(total_bytes: int) -> str:
    """What to know about a chip without memory of its own."""
    return (
        f"shares {format_bytes(total_bytes)} of main memory with the system; what programs and the file cache "
        "hold is missing there"
    )


def _throttle_lines(details: GpuDetails) -> list[str]:
    harmful = [reason for reason in details.throttle_reasons or () if reason in HARMFUL_REASONS]
    if not harmful:
        return []
    heat = "" if details.temperature_c is None else f" at {details.temperature_c:.0f} °C"
    return [f"slowed down now: {', '.join(harmful)}{heat}; check cooling and power supply"]


def _is_busy(details: GpuDetails) -> bool:
    """Whether the GPU is surely at work: only then a slow PCIe link is no power saving."""
    return (details.utilization_fraction or 0) >= _BUSY_FRACTION and IDLE not in (
        details.throttle_reasons or ()
    )


def _pcie_lines(details: GpuDetails) -> list[str]:
    link = details.pcie
    if link is None or details.unified_memory:
        return []
    lines = []
    if link.max_width is not None and link.max_width <= _NARROW_LANES:
        lines.append(
            f"PCIe gives it {link.max_width} lanes at most; loading and layers kept in RAM are slow there; "
            "use a wider slot if there is one"
        )
    elif _is_busy(details) and link.width and link.max_width and link.width < link.max_width:
        lines.append(
            f"runs on {link.width} of {link.max_width} PCIe lanes while busy; reseat the card or change the slot"
        )
    now, most = link.generation, link.max_generation
    if _is_busy(details) and now and most and now < most:
        lines.append(
            f"runs on PCIe generation {now} of {most} while busy; check the riser and the firmware's link setting"
        )
    return lines


def _fabric_lines(details: GpuDetails) -> list[str]:
    lines = []
    fabric = details.fabric
    if fabric is not None and not fabric.is_ready:
        why = "" if fabric.error is None else f" ({fabric.error})"
        lines.append(
            f"NVSwitch fabric: {fabric.state}{why}, so NVLink between GPUs does not work; check nvidia-fabricmanager"
        )
    elif fabric is not None and fabric.health:
        lines.append(f"NVSwitch fabric: {', '.join(fabric.health)}; check nvidia-fabricmanager")
    for links in details.links:
        if links.to_switch and 0 < links.n_active < links.n_links:
            lines.append(
                f"only {links.n_active} of {links.n_links} {links.kind} links are up; check nvidia-smi nvlink -s"
            )
        if links.to_switch and links.n_active and (fabric is None or fabric.is_ready):
            blocked = [peer for peer in details.peers if peer.peer_access is False]
            if blocked:
                lines.append(
                    f"no peer access to {len(blocked)} of {len(details.peers)} GPUs though NVLink is up "
                    f"({blocked[0].why_not}); check nvidia-fabricmanager"
                )
    return lines


def _slice_remarks(gpus: Sequence[Gpu]) -> list[str]:
    slices = [gpu for gpu in gpus if gpu.details is not None and gpu.details.mig_slice is not None]
    lines = []
    shared: dict[tuple[int, int | None], list[Gpu]] = {}
    for gpu in slices:
        parts = None if gpu.details is None else gpu.details.mig_slice
        if parts is not None and parts.shares_memory:
            shared.setdefault((gpu.index, parts.gpu_instance), []).append(gpu)
    lines += [
        f"GPU {index}: {len(users)} slices ({', '.join(user.mig_profile or '?' for user in users)}) share "
        f"the {format_bytes(users[0].memory_bytes or 0)} of one GPU instance; count that memory once"
        for (index, _), users in shared.items()
        if len(users) > 1
    ]
    if len(slices) > 1:
        lines.append(
            f"{len(slices)} MIG slices: a CUDA program uses one of them, and slices cannot be joined; plan one "
            "process per slice, chosen with CUDA_VISIBLE_DEVICES=MIG-…"
        )
    return lines


def _named(gpus: Sequence[Gpu]) -> str:
    """One GPU with its name, or several that share a line: "GPUs 0, 1 (name)"."""
    names = dict.fromkeys(gpu.name for gpu in gpus)
    indices = list(dict.fromkeys(gpu.index for gpu in gpus))
    shown = ", ".join(str(index) for index in indices[:_MAX_LISTED])
    more = f" and {len(indices) - _MAX_LISTED} more" if len(indices) > _MAX_LISTED else ""
    return f"GPU{'s' if len(indices) > 1 else ''} {shown}{more} ({', '.join(list(names)[:_MAX_LISTED])})"
