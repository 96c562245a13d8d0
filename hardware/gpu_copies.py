"""How fast a GPU copies: within its memory, and from and to main memory. The loop; what copies is an argument.

A driver or framework stands behind `Copier`; `hardware/copiers/` has one file for each. Copies are queued and
waited for together, so what starting one costs does not count. Like every rate here, the result is the upper
quartile of the samples, since a slow one is another program's doing.
"""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from hardware.spec import GpuCopies, MeasuredRate
from hardware.units import GIB, MIB, format_bytes

Clock = Callable[[], float]

# Far past the last-level caches of today's GPUs (126 MB on a B200, 256 MB on an MI300X), for reading and writing.
_DEVICE_BYTES = GIB
_LEAST_DEVICE_BYTES = 256 * MIB
_HOST_BYTES = 256 * MIB
_LEAST_HOST_BYTES = 16 * MIB
_SHARE = 8  # of the free memory on either side, for each buffer
_SAMPLE_S = 0.02
_WARM_UP_S = 0.1  # an idle GPU needs a moment to raise its clocks and its link
_MIN_SAMPLES = 4


class CopyError(Exception):
    """The driver refused or failed; one line. `no_memory` when asking for less may help."""

    def __init__(self, line: str, *, no_memory: bool = False) -> None:
        super().__init__(line)
        self.no_memory = no_memory


class Copies(Protocol):
    """Buffers on one GPU and in main memory: each call queues one copy, `wait` returns when all are done."""

    def within(self) -> None:
        """Copies one device buffer to the other."""

    def from_host(self) -> None:
        """Copies the host buffer to the device."""

    def to_host(self) -> None:
        """Copies the start of a device buffer to the host."""

    def wait(self) -> None:
        """Blocks until what was queued is done."""


class CopyDevice(Protocol):
    """One GPU as the driver or framework numbers it."""

    @property
    def name(self) -> str:
        """What the driver calls it."""

    @property
    def uuid(self) -> str | None:
        """Its UUID, without a prefix, where told."""

    @property
    def pci_address(self) -> str | None:
        """Such as "0000:17:00.0", where told."""

    def free_bytes(self) -> int | None:
        """Free memory of the GPU now; None when nobody tells."""

    def buffers(self, device_bytes: int, host_bytes: int) -> AbstractContextManager[Copies]:
        """Two buffers of the one size on the GPU, one of the other in main memory; 0 leaves either out."""


class Copier(Protocol):
    """A driver or framework that is present."""

    @property
    def label(self) -> str:
        """With its version, for the record: "CUDA driver 12.8"."""

    @property
    def host_memory(self) -> str:
        """What the buffer in main memory is: "page-locked", or "ordinary" where it cannot be locked."""

    def devices(self) -> Sequence[CopyDevice]:
        """The GPUs that it can use; raises CopyError where it has none it can reach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What one GPU's measurement gave: rates, and a line for each that failed."""

    copies: GpuCopies
    problems: tuple[str, ...] = ()


def measure_copies(
    device: CopyDevice,
    copier: Copier,
    *,
    host_free_bytes: int,
    budget_s: float = 1.2,
    clock: Clock = time.perf_counter,
) -> Copied:
    """Rates of one GPU. What fails costs its own rate and one line; a lost device costs what comes after it."""
    problems: list[str] = []
    rates: dict[str, MeasuredRate | None] = {"within": None, "from_host": None, "to_host": None}
    try:
        free = device.free_bytes()
        allowed = _DEVICE_BYTES if free is None else min(_DEVICE_BYTES, free // _SHARE)
        if allowed < _LEAST_DEVICE_BYTES:
            problems.append(
                f"copies within its memory take 2 x {format_bytes(_LEAST_DEVICE_BYTES)}, each at most 1/{_SHARE} of "
                f"its free memory, and only {format_bytes(free or 0)} are free; close what uses it"
            )
        else:
            rates["within"] = _within(device, copier, allowed, budget_s / 3, clock)
    except CopyError as error:
        problems.append(f"copies within its memory: {error}")
    n_bytes = min(_HOST_BYTES, host_free_bytes // _SHARE)
    if n_bytes < _LEAST_HOST_BYTES:
        problems.append(
            f"copies from and to main memory take {format_bytes(_LEAST_HOST_BYTES)}, at most 1/{_SHARE} of what is "
            f"free, and only {format_bytes(host_free_bytes)} are free; close other programs"
        )
    else:
        try:
            _with_host(device, copier, n_bytes, budget_s / 3, clock, rates)
        except CopyError as error:
            problems.append(f"copies from and to main memory: {error}")
    return Copied(copies=GpuCopies(**rates), problems=tuple(dict.fromkeys(problems)))


def _within(device: CopyDevice, copier: Copier, n_bytes: int, budget_s: float, clock: Clock) -> MeasuredRate:
    """The rate of copies on the device; less memory is tried where the driver has not as much as it says."""
    while True:
        try:
            with device.buffers(n_bytes, 0) as copies:
                samples = _sample(copies.within, copies.wait, budget_s, clock)
            # Every byte is read and written.
            return _rate(
                [2 * n_bytes / s for s in samples], f"{copier.label}, {format_bytes(n_bytes)} at a time"
            )
        except CopyError as error:
            if not error.no_memory or n_bytes // 2 < _LEAST_DEVICE_BYTES:
                raise
            n_bytes //= 2


def _with_host(
    device: CopyDevice,
    copier: Copier,
    n_bytes: int,
    budget_s: float,
    clock: Clock,
    rates: dict[str, MeasuredRate | None],
) -> None:
    """Fills in both directions; the first stays when the second fails."""
    with device.buffers(n_bytes, n_bytes) as copies:
        for direction, copy in (("from_host", copies.from_host), ("to_host", copies.to_host)):
            samples = _sample(copy, copies.wait, budget_s, clock)
            rates[direction] = _rate(
                [n_bytes / s for s in samples],
                f"{copier.label}, {format_bytes(n_bytes)} of {copier.host_memory} memory at a time",
            )


def _sample(copy: Callable[[], None], wait: Callable[[], None], budget_s: float, clock: Clock) -> list[float]:
    """Seconds per copy, over as many samples as the time allows, after a warm-up that is not counted."""

    def timed(n_copies: int) -> float:
        start = clock()
        for _ in range(n_copies):
            copy()
        wait()
        return (clock() - start) / n_copies

    started = clock()
    each = timed(1)
    while clock() - started < _WARM_UP_S:
        each = min(each, timed(1))
    n_copies = max(1, math.ceil(_SAMPLE_S / max(each, 1e-6)))
    samples: list[float] = []
    started = clock()
    while len(samples) < _MIN_SAMPLES or clock() - started < budget_s:
        samples.append(timed(n_copies))
    return samples


def _rate(rates: Sequence[float], method: str) -> MeasuredRate:
    ordered = sorted(rates)
    return MeasuredRate(
        per_s=ordered[(3 * len(ordered)) // 4],
        method=f"{method}, upper quartile",
        n_threads=1,
        n_samples=len(ordered),
        spread_fraction=(ordered[-1] - ordered[len(ordered) // 4]) / ordered[-1],
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
