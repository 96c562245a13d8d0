"""What the probe of one vendor's GPUs found."""

from dataclasses import dataclass

from hardware.spec import Gpu


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuReport:
    """The GPUs that a program here may use, their driver, and one line per thing that went wrong."""

    gpus: tuple[Gpu, ...] = ()
    driver_version: str | None = None
    problems: tuple[str, ...] = ()
