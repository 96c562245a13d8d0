"""A fleet: many machines, from a folder of files, a Ray cluster or Kubernetes, each with a name of its own."""

from collections.abc import Sequence
from dataclasses import dataclass

from hardware.spec import Gpu, Machine
from hardware.units import GIB, format_bytes

_LIKE_FRACTION = 0.01  # kernels of one version keep a little more or less of the same memory for themselves


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetMember:
    """One machine of a fleet; `problem` says why it cannot be used now, or why nothing is known of it."""

    name: str
    machine: Machine | None
    problem: str | None = None

    def __post_init__(self) -> None:
        if self.machine is None and self.problem is None:
            raise ValueError(f"{self.name}: a member without a machine says why")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Machines from one source; `problems` are lines about the fleet as a whole."""

    source: str  # "folder:PATH", "ray", "kubernetes"
    members: tuple[FleetMember, ...]
    problems: tuple[str, ...] = ()

    @property
    def usable(self) -> tuple[FleetMember, ...]:
        """The members that can be planned with: known, and without a problem."""
        return tuple(member for member in self.members if member.machine and not member.problem)


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineGroup:
    """Like machines of a fleet, and the one that stands for them: the one with the least free memory."""

    machine: Machine
    names: tuple[str, ...]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.names)

    @property
    def label(self) -> str:
        """The group in a few words: "6 × 8x H100 SXM5 80GB, 2.0 TiB"."""
        return f"{self.count} × {machine_label(self.machine)}"


def like_machines(fleet: Fleet) -> tuple[MachineGroup, ...]:
    """The usable machines in groups of the same processor, GPUs and (within 1 %) main memory, largest first."""
    kinds: dict[object, list[tuple[str, Machine]]] = {}
    for member in fleet.usable:
        if member.machine is not None:
            kinds.setdefault(_kind(member.machine), []).append((member.name, member.machine))
    groups = [group for members in kinds.values() for group in _split_by_memory(members)]
    return tuple(sorted(groups, key=lambda group: (-group.count, -_gpu_bytes(group.machine), group.names)))


def machine_label(machine: Machine) -> str:
    """A machine in a few words: its GPUs, or its processor without any, and its main memory."""
    counts: dict[str, int] = {}
    for gpu in machine.gpus:
        counts[gpu_label(gpu)] = counts.get(gpu_label(gpu), 0) + 1
    parts = [" + ".join(f"{count}x {name}" if count > 1 else name for name, count in counts.items())]
    if not machine.gpus:
        threads = machine.cpu and machine.cpu.n_usable_threads
        parts = [
            f"{machine.cpu.model}, {threads} thread{'s' if threads != 1 else ''}" if machine.cpu else "no GPU"
        ]
    parts.append(format_bytes(machine.memory.usable_bytes) if machine.memory else "RAM unknown")
    return ", ".join(parts)


def gpu_label(gpu: Gpu) -> str:
    """A GPU's profile name where it has one, else its driver's; a slice with its cut."""
    name = gpu.accelerator.name if gpu.accelerator and not gpu.mig_profile else gpu.name
    return f"{name} ({gpu.mig_profile})" if gpu.mig_profile else name


def _kind(machine: Machine) -> tuple[object, ...]:
    """What two machines must share to be planned as one; memory is compared apart."""
    cpu = machine.cpu
    gpus = sorted(
        (gpu.name, gpu.mig_profile or "", -1 if gpu.memory_bytes is None else round(gpu.memory_bytes / GIB))
        for gpu in machine.gpus
    )
    return (cpu and (cpu.model, cpu.n_usable_threads), tuple(gpus), machine.memory is None, machine.described)


def _split_by_memory(members: Sequence[tuple[str, Machine]]) -> list[MachineGroup]:
    ordered = sorted(members, key=lambda member: (_usable_bytes(member[1]), member[0]))
    groups: list[list[tuple[str, Machine]]] = []
    for member in ordered:
        least = _usable_bytes(groups[-1][0][1]) if groups else 0
        if groups and _usable_bytes(member[1]) <= least * (1 + _LIKE_FRACTION):
            groups[-1].append(member)
        else:
            groups.append([member])
    return [
        MachineGroup(
            machine=min((machine for _, machine in group), key=_free_bytes),
            names=tuple(sorted(name for name, _ in group)),
        )
        for group in groups
    ]


def _usable_bytes(machine: Machine) -> int:
    return machine.memory.usable_bytes if machine.memory else 0


def _free_bytes(machine: Machine) -> tuple[int, int]:
    """Free memory of the GPUs, then of the machine; one whose driver does not say counts whole."""
    gpus = sum((gpu.memory_bytes if gpu.free_bytes is None else gpu.free_bytes) or 0 for gpu in machine.gpus)
    return gpus, machine.memory.available_bytes if machine.memory else 0


def _gpu_bytes(machine: Machine) -> int:
    return sum(gpu.memory_bytes or 0 for gpu in machine.gpus)
