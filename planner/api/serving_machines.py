"""The machines that a model is to be served on: one, or several alike that a network joins."""

from dataclasses import dataclass, replace

from hardware.described import described_machines
from hardware.errors import DescriptionError
from hardware.fleet import like_machines
from hardware.interconnect import NetworkLink
from hardware.spec import Accelerator, Gpu, Machine
from hardware.units import MIB
from planner.api.machines import fleet_for, machine_for
from planner.errors import MissingFactError
from planner.estimate.peer_links import peer_link_bytes_per_s
from planner.estimate.served.model import ServingGpu, visible_bytes
from planner.estimate.serving_speed.fabric import Fabric

# A described card is taken as empty but for the process that asks: its CUDA context.
CONTEXT_BYTES = 500 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingMachines:
    """Like machines: the one that stands for all, how many, and the GPU that decides for all ranks."""

    machine: Machine
    count: int
    gpu: ServingGpu
    gpus_per_machine: int
    network: NetworkLink | None = None  # of each machine, where the user gave it

    @property
    def n_gpus(self) -> int:
        """Over all machines."""
        return self.count * self.gpus_per_machine

    @property
    def name(self) -> str:
        """As it is called in answers."""
        return f"{self.count}x {self.machine.name}" if self.count > 1 else self.machine.name

    def accelerator(self) -> Accelerator:
        """The slowest of the GPUs, with the rate at which it talks to those beside it: its own link or PCI Express.

        Raises MissingFactError where no profile is known for any.
        """
        found = [gpu.accelerator for gpu in self.machine.gpus if gpu.accelerator is not None]
        if not found:
            raise MissingFactError(
                f"no profile is known for the GPUs of {self.machine.name}, so nothing can be timed on them"
            )
        slowest = min(found, key=lambda accelerator: accelerator.memory_bytes_per_s)
        if len(self.machine.gpus) < 2:
            return slowest
        link = peer_link_bytes_per_s(self.machine)
        return replace(slowest, link_bytes_per_s=slowest.pcie_bytes_per_s if link is None else link)

    def fabric(self, n_ranks: int) -> Fabric | None:
        """What joins the machines that so many ranks need; None where one machine has them all.

        Raises MissingFactError where nobody said how fast a machine reaches its neighbours.
        """
        if n_ranks <= self.gpus_per_machine:
            return None
        rate = self.network.bytes_per_s if self.network else None
        if rate is None and self.machine.interconnect is not None:
            rate = self.machine.interconnect.network_bytes_per_s
        if rate is None:
            raise MissingFactError(
                f"how fast {self.machine.name} reaches other machines is not known; give it, for example "
                "--network '400Gbit/s 10us'"
            )
        return Fabric(gpus_per_machine=self.gpus_per_machine, bytes_per_s=rate / self.gpus_per_machine)


def serving_machines(on: str | Machine | None, network: NetworkLink | None = None) -> ServingMachines:
    """The machines of `--on`: "2x DGX H100" and fleets of like machines are several; all else is one.

    Raises MissingFactError on a machine without GPUs of known memory.
    """
    machine, count = _machines(on)
    known = [gpu for gpu in machine.gpus if gpu.memory_bytes is not None]
    if not known:
        raise MissingFactError(
            f"{machine.name} has no GPU whose memory is known; describe one with --on, such as "
            '--on "2x H100 SXM"'
        )
    smallest = min(known, key=_free_bytes)
    name = smallest.accelerator.name if smallest.accelerator else smallest.name
    gpu = ServingGpu(name=name, total_bytes=visible_bytes(smallest) or 0, free_bytes=_free_bytes(smallest))
    return ServingMachines(
        machine=machine, count=count, gpu=gpu, gpus_per_machine=len(known), network=network
    )


def _machines(on: str | Machine | None) -> tuple[Machine, int]:
    if not isinstance(on, str):
        return machine_for(on), 1
    fleet = fleet_for(on)
    if fleet is not None:
        machine = machine_for(on)  # raises where its machines differ
        return replace(machine, name=like_machines(fleet)[0].names[0]), len(fleet.usable)
    try:
        machines = described_machines(on)
    except DescriptionError:
        return machine_for(on), 1  # a file, or the message that belongs to it
    return (machines[0], len(machines)) if len(machines) > 1 else (machine_for(on), 1)


def _free_bytes(gpu: Gpu) -> int:
    return gpu.free_bytes if gpu.free_bytes is not None else (visible_bytes(gpu) or 0) - CONTEXT_BYTES
