"""Machines for tests, made by hand so that no profile row can change a result."""

from hardware.spec import Accelerator, Basis, Gpu, Machine, Memory
from hardware.units import GB, GIB


def card(index: int = 0, *, memory_gib: float = 24, gb_per_s: float = 1000, unified: bool = False) -> Gpu:
    """A GPU with round figures."""
    accelerator = Accelerator(
        id="test-card",
        name="Test Card",
        vendor="nvidia",
        architecture="Test",
        memory_bytes=round(memory_gib * GIB),
        memory_bytes_per_s=gb_per_s * GB,
        dense_flop_per_s={"fp16": 100e12},
        unified_memory=unified,
    )
    return Gpu(
        index=index,
        name="Test Card",
        memory_bytes=round(memory_gib * GIB),
        free_bytes=None,
        accelerator=accelerator,
    )


def machine(*gpus: Gpu, ram_gib: float | None = 64, ram_gb_per_s: float | None = 80) -> Machine:
    """A described machine."""
    ram = None if ram_gib is None else round(ram_gib * GIB)
    return Machine(
        name="test machine",
        cpu=None,
        memory=None if ram is None else Memory(total_bytes=ram, available_bytes=ram),
        gpus=gpus,
        described=True,
        cpu_memory_bytes_per_s=None if ram_gb_per_s is None else ram_gb_per_s * GB,
        cpu_memory_basis=Basis.DERIVED,
    )
