"""`planner hardware` as a document: what this machine is and what is free."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hardware.machine_json import machine_to_json_data
from hardware.spec import Gpu, Machine, MeasuredRate
from hardware.units import GB, GIGA, format_bytes, format_rate_bytes_per_s
from planner.report.document import Document, Table
from planner.report.gpu_details import gpu_rows, gpu_table


def hardware_document(machine: Machine) -> Document:
    """The machine in a sentence, its parts in a table, and what was measured."""
    rows = [("OS", machine.os or "unknown", "")]
    rows += _cpu_rows(machine)
    rows += _memory_rows(machine)
    rows += _disk_rows(machine)
    rows += gpu_rows(machine.gpus) or [("GPU", "none found", "no driver shows one")]
    rows += _measured_rows(machine)
    details = gpu_table(machine.gpus)
    first = Table(title="", headers=("part", "what it is", "now"), rows=tuple(rows))
    return Document(
        schema="planner.hardware/1",
        title="This machine",
        answer=(_sentence(machine),),
        tables=(first,) if details is None else (first, details),
        notes=(*machine.problems, *_disturbed(machine)),
        data=machine_to_json_data(machine),
    )


def _sentence(machine: Machine) -> str:
    parts = []
    if machine.gpus:
        counts = Counter(gpu.name for gpu in machine.gpus)
        names = ", ".join(name if n == 1 else f"{n} × {name}" for name, n in counts.items())
        parts.append(f"{names} with {format_bytes(_gpu_bytes(machine.gpus))} of memory")
    else:
        parts.append("no GPU")
    if machine.cpu is not None:
        n = machine.cpu.n_usable_threads
        parts.append(f"{n} usable thread{'s' if n > 1 else ''} of {machine.cpu.model}")
    if machine.memory is not None:
        parts.append(
            f"{format_bytes(machine.memory.available_bytes)} of {format_bytes(machine.memory.usable_bytes)} RAM free"
        )
    return f"This machine has {', '.join(parts)}."


def _gpu_bytes(gpus: Sequence[Gpu]) -> int:
    """Memory of all GPUs; slices that live in one part of a card share it, so it counts once."""
    separate = 0
    shared: dict[tuple[int, int | None], int] = {}
    for gpu in gpus:
        parts = None if gpu.details is None else gpu.details.mig_slice
        if parts is None or not parts.shares_memory:
            separate += gpu.memory_bytes or 0
        else:
            shared[gpu.index, parts.gpu_instance] = gpu.memory_bytes or 0
    return separate + sum(shared.values())


def _cpu_rows(machine: Machine) -> list[tuple[str, str, str]]:
    cpu = machine.cpu
    if cpu is None:
        return [("CPU", "unknown", "")]
    cores = f"{cpu.n_physical_cores} cores" if cpu.n_physical_cores else "cores unknown"
    sockets = f"{cpu.n_sockets} socket{'s' if (cpu.n_sockets or 1) > 1 else ''}, " if cpu.n_sockets else ""
    rows = [("CPU", f"{cpu.model}: {sockets}{cores}", f"{cpu.n_usable_threads} usable threads")]
    if cpu.instruction_sets:
        rows.append(("", ", ".join(cpu.instruction_sets), ""))
    if cpu.cache_l3_bytes:
        rows.append(("", f"{format_bytes(cpu.cache_l3_bytes)} of last-level cache", ""))
    details = cpu.details
    if details is None:
        return rows
    rows += [("", f"{kind.name}: {kind.n_threads} threads", "") for kind in details.core_kinds]
    if len(details.numa_nodes) > 1:
        rows.append(("", f"{len(details.numa_nodes)} NUMA nodes", "memory of another node is slower"))
    if details.is_virtual:
        rows.append(("", f"a virtual machine{f' on {details.hypervisor}' if details.hypervisor else ''}", ""))
    return rows


def _memory_rows(machine: Machine) -> list[tuple[str, str, str]]:
    memory = machine.memory
    if memory is None:
        return [("RAM", "unknown", "")]
    rows = [("RAM", format_bytes(memory.total_bytes), f"{format_bytes(memory.available_bytes)} free")]
    if memory.limit_bytes is not None:
        rows.append(("", f"limited to {format_bytes(memory.limit_bytes)}", memory.limit_source or ""))
    if memory.swap_total_bytes:
        rows.append(("", f"{format_bytes(memory.swap_total_bytes)} of swap, not planned with", ""))
    details = memory.details
    modules = details.modules if details is not None else None
    if modules is not None and modules.bytes_per_s is not None:
        channels = f"{modules.n_channels} channels of {modules.kind or 'memory'}"
        rows.append(("", f"{channels}, {format_rate_bytes_per_s(modules.bytes_per_s)} in theory", ""))
    for pages in details.huge_pages if details is not None else ():
        if pages.n_total:
            size = format_bytes(pages.page_bytes)
            rows.append(("", f"{pages.n_total:,} huge pages of {size}", f"{pages.n_free:,} free"))
    return rows


def _disk_rows(machine: Machine) -> list[tuple[str, str, str]]:
    """The disk that downloaded weights would lie on, and the container around it all."""
    rows = []
    disk = machine.disk
    if disk is not None:
        what = ", ".join(part for part in (disk.kind, disk.file_system) if part) or "kind unknown"
        free = "" if disk.free_bytes is None else f"{format_bytes(disk.free_bytes)} free"
        rows.append(("disk", f"{what}, for weights in {_from_home(disk.folder)}", free))
    container = machine.container
    if container is not None and container.kind is not None:
        rows.append(("container", container.kind, f"pod {container.pod}" if container.pod else ""))
    return rows


def _from_home(folder: str) -> str:
    """A folder as its user writes it: shorter, and no user's name in what is copied elsewhere."""
    path, home = Path(folder), Path.home()
    return str(Path("~", path.relative_to(home))) if path.is_relative_to(home) else folder


def _measured_rows(machine: Machine) -> list[tuple[str, str, str]]:
    bandwidth, matrix = machine.memory_bandwidth, machine.matrix_throughput
    copies = [row for gpu in machine.gpus for row in _copy_rows(gpu)]
    if bandwidth is None and matrix is None and not copies:
        return [("measured", "nothing yet", "planner hardware --measure")]
    rows = []
    if bandwidth is not None:
        what = f"reads {format_rate_bytes_per_s(bandwidth.per_s)} from memory"
        rows.append(("measured", what, _conditions(bandwidth)))
    if machine.mapped_read is not None:
        what = (
            f"reads {format_rate_bytes_per_s(machine.mapped_read.per_s)} from a cached file, as weights are"
        )
        rows.append(("measured", what, _conditions(machine.mapped_read)))
    if matrix is not None:
        rows.append(
            ("measured", f"multiplies {matrix.per_s / GIGA:,.0f} GFLOP/s in fp32", _conditions(matrix))
        )
    disk = machine.disk_read_bytes_per_s
    if disk is not None:
        rows.append(
            ("measured", f"loads {format_rate_bytes_per_s(disk.per_s)} from disk", disk.measured_at[:10])
        )
    return rows + copies


def _copy_rows(gpu: Gpu) -> list[tuple[str, str, str]]:
    """What one GPU copies: within its memory, and each way over its link, beside what the link promises."""
    if gpu.copies is None:
        return []
    rows = []
    within, from_host, to_host = gpu.copies.within, gpu.copies.from_host, gpu.copies.to_host
    if within is not None:
        what = (
            f"GPU {gpu.index} copies {format_rate_bytes_per_s(within.per_s)} in its memory, both ways counted"
        )
        rows.append(("measured", what, f"spread {within.spread_fraction:.0%}, {within.measured_at[:10]}"))
    one_way = [(rate, way) for rate, way in ((from_host, "from"), (to_host, "to")) if rate is not None]
    if one_way:
        ways = " and ".join(f"{rate.per_s / GB:,.1f} GB/s {way}" for rate, way in one_way)
        link = None if gpu.details is None or gpu.details.pcie is None else gpu.details.pcie.max_bytes_per_s
        share = f"{max(rate.per_s for rate, _ in one_way) / link:.0%} of its PCIe link, " if link else ""
        date = one_way[0][0].measured_at[:10]
        rows.append(("measured", f"GPU {gpu.index} copies {ways} main memory", f"{share}{date}"))
    return rows


def _disturbed(machine: Machine) -> list[str]:
    """A line where rates were measured beside other work, since all estimates for the processor rest on them."""
    rates = (machine.memory_bandwidth, machine.mapped_read, machine.matrix_throughput)
    busy = [rate.n_busy_elsewhere or 0.0 for rate in rates if rate is not None and rate.was_disturbed]
    if not busy:
        return []
    line = (
        f"other programs kept {max(busy):.1f} processors busy while rates were measured, so these may be far too low; "
        "run planner hardware --measure again when they are done"
    )
    return [line]


def _conditions(rate: MeasuredRate) -> str:
    pages = f"{rate.pages}, " if rate.pages else ""
    return f"{rate.n_threads} threads, {pages}spread {rate.spread_fraction:.0%}, {rate.measured_at[:10]}"
