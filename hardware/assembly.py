"""Puts a described machine together: devices, main memory and processors, with the memory they may share."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hardware.cpus import Processors
from hardware.errors import DescriptionError
from hardware.interconnect import Interconnect
from hardware.spec import Accelerator, Basis, Cpu, Gpu, Machine, Memory
from hardware.unified import mac_gpu_bytes, mac_note, shared_note
from hardware.units import format_rate_bytes_per_s

_BACKENDS = {"nvidia": "cuda", "amd": "rocm", "apple": "metal", "intel": "sycl"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ram:
    """Main memory as described: how much, how fast, how well that is known, and what had to be assumed."""

    size_bytes: int | None = None
    bytes_per_s: float | None = None
    basis: Basis | None = None
    note: str | None = None


def assemble(
    name: str,
    devices: Sequence[Accelerator],
    ram: Ram,
    *,
    processors: Processors | None = None,
    cpu: Cpu | None = None,
    interconnect: Interconnect | None = None,
    notes: Sequence[str] = (),
) -> Machine:
    """The machine with these parts; raises DescriptionError when they cannot be one machine."""
    lines = [*notes, *([ram.note] if ram.note else [])]
    shared = next((device for device in devices if device.unified_memory), None)
    ram_bytes, gpu_bytes = ram.size_bytes, None
    if shared is not None:
        if len(devices) > 1:
            raise DescriptionError(
                f"{shared.name} uses main memory, so a machine has just one; describe each by itself"
            )
        ram_bytes = ram_bytes or shared.memory_bytes
        is_mac = shared.vendor.casefold() == "apple"
        gpu_bytes = mac_gpu_bytes(ram_bytes) if is_mac else ram_bytes
        note = mac_note(shared.name, ram_bytes, gpu_bytes) if is_mac else shared_note(shared.name, ram_bytes)
        lines.append(note)
    ram = _with_speed(ram, processors, shared, lines)
    if shared is not None and ram.basis is Basis.DERIVED and ram.bytes_per_s:
        # The modules were told, and the GPU draws on them: "Radeon 780M, 32GiB LPDDR5X-7500 2ch".
        devices = [replace(shared, memory_bytes_per_s=ram.bytes_per_s, bandwidth_basis=Basis.DERIVED)]
    gpus = tuple(
        Gpu(
            index=index,
            name=device.name,
            memory_bytes=gpu_bytes if device.unified_memory else device.memory_bytes,
            free_bytes=None,
            accelerator=device,
            backend=_BACKENDS.get(device.vendor.casefold(), device.vendor.casefold()),
            compute_capability=device.compute_capability,
        )
        for index, device in enumerate(devices)
    )
    return Machine(
        name=name,
        cpu=processors.cpu if processors else cpu,
        memory=None if ram_bytes is None else Memory(total_bytes=ram_bytes, available_bytes=ram_bytes),
        gpus=gpus,
        described=True,
        problems=tuple(lines),
        cpu_memory_bytes_per_s=ram.bytes_per_s,
        cpu_memory_basis=ram.basis,
        interconnect=interconnect,
    )


def _with_speed(ram: Ram, processors: Processors | None, shared: Accelerator | None, lines: list[str]) -> Ram:
    """Main memory's speed where its modules are not told: that of a chip that shares it, or the processor's best."""
    if ram.bytes_per_s is not None:
        return ram
    if shared is not None:  # processor and GPU draw on the same memory
        return replace(ram, bytes_per_s=shared.memory_bytes_per_s, basis=shared.bandwidth_basis)
    if processors is None or processors.memory_bytes_per_s is None:
        return ram
    modules = f"{processors.memory_type}-{processors.memory_mt_per_s:.0f}"
    rate = format_rate_bytes_per_s(processors.memory_bytes_per_s)
    lines.append(
        f"{processors.name}: {processors.n_channels} memory channels, all with {modules}, assumed ({rate}); "
        f"say what is fitted, for example {modules} {processors.n_channels}ch"
    )
    return replace(ram, bytes_per_s=processors.memory_bytes_per_s, basis=Basis.ASSUMED)
