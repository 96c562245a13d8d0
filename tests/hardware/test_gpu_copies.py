"""The measuring loop on GPUs of known speed, under a clock that only their copies move."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from hardware.gpu_copies import Copies, CopyDevice, CopyError, measure_copies
from hardware.units import GB, GIB, MIB


@dataclass
class Clock:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Device:
    """Copies at fixed rates; every 10th wait takes ten times as long, as when another program runs."""

    clock: Clock
    free: int | None = 80 * GIB
    most_bytes: int = 1 << 60
    fails: str = ""
    name: str = "Example"
    uuid: str | None = None
    pci_address: str | None = None
    asked: list[tuple[int, int]] = field(default_factory=list)
    queued_s: float = 0.0
    n_waits: int = 0
    n_open: int = 0

    def free_bytes(self) -> int | None:
        if self.fails == "free":
            raise CopyError("gone")
        return self.free

    @contextmanager
    def buffers(self, device_bytes: int, host_bytes: int) -> Iterator[Copies]:
        self.asked.append((device_bytes, host_bytes))
        if device_bytes > self.most_bytes:
            raise CopyError("out of memory", no_memory=True)
        if host_bytes and self.fails == "pinned":
            raise CopyError("out of memory", no_memory=True)
        self.n_open += 1
        try:
            yield Buffers(self, device_bytes, host_bytes)
        finally:
            self.n_open -= 1


@dataclass
class Buffers:
    device: Device
    device_bytes: int
    host_bytes: int

    def _queue(self, what: str, seconds: float) -> None:
        if self.device.fails == what:
            raise CopyError("the device is lost")
        self.device.queued_s += seconds

    def within(self) -> None:
        self._queue("within", self.device_bytes / (1000 * GB))

    def from_host(self) -> None:
        self._queue("from_host", self.host_bytes / (25 * GB))

    def to_host(self) -> None:
        self._queue("to_host", self.host_bytes / (20 * GB))

    def wait(self) -> None:
        self.device.n_waits += 1
        slow = 10 if self.device.n_waits % 10 == 0 else 1
        self.device.clock.now_s += self.device.queued_s * slow
        self.device.queued_s = 0.0


class Example:
    label = "Example 1.0"
    host_memory = "page-locked"

    def devices(self) -> Sequence[CopyDevice]:
        return ()


def test_the_rates_are_those_of_the_device() -> None:
    device = Device(Clock())
    found = measure_copies(device, Example(), host_free_bytes=64 * GIB, clock=device.clock)
    assert found.problems == ()
    within, from_host, to_host = found.copies.within, found.copies.from_host, found.copies.to_host
    assert within is not None and from_host is not None and to_host is not None
    # 1,000 GB are copied in a second, so 2,000 GB are read or written; the slow tenth does not move the quartile.
    assert within.per_s == pytest.approx(2000 * GB)
    assert from_host.per_s == pytest.approx(25 * GB)
    assert to_host.per_s == pytest.approx(20 * GB)
    assert "Example 1.0" in within.method and "1.0 GiB" in within.method
    assert "256.0 MiB of page-locked memory" in from_host.method
    assert device.n_open == 0
    # 0.4 s for each of three rates after 0.1 s of warm-up, and a sample or two more at ten times its length.
    assert 1.2 < device.clock.now_s < 3.0


@pytest.mark.parametrize(
    ("free", "wanted"),
    [
        (80 * GIB, GIB),
        (4 * GIB, GIB // 2),  # an eighth
        (None, GIB),  # nobody tells
    ],
)
def test_buffers_leave_room_for_others(free: int | None, wanted: int) -> None:
    device = Device(Clock(), free=free)
    measure_copies(device, Example(), host_free_bytes=1 * GIB, clock=device.clock)
    # Main memory: an eighth of 1 GiB.
    assert device.asked == [(wanted, 0), (128 * MIB, 128 * MIB)]


def test_less_is_tried_where_the_driver_has_not_as_much_as_it_says() -> None:
    device = Device(Clock(), most_bytes=300 * MIB)
    found = measure_copies(device, Example(), host_free_bytes=64 * GIB, clock=device.clock)
    assert [size for size, host in device.asked if not host] == [1024 * MIB, 512 * MIB, 256 * MIB]
    assert found.copies.within is not None and "256.0 MiB" in found.copies.within.method
    assert found.problems == ()


def test_a_gpu_without_memory_costs_its_own_rate_only() -> None:
    device = Device(Clock(), most_bytes=100 * MIB)
    found = measure_copies(device, Example(), host_free_bytes=512 * MIB, clock=device.clock)
    assert found.copies.within is None
    assert found.copies.from_host is not None
    assert found.problems == ("copies within its memory: out of memory",)


def test_a_full_gpu_is_not_squeezed() -> None:
    device = Device(Clock(), free=GIB)
    found = measure_copies(device, Example(), host_free_bytes=64 * GIB, clock=device.clock)
    assert found.copies.within is None and found.copies.to_host is not None
    assert "only 1.0 GiB are free" in found.problems[0]


def test_full_main_memory_is_not_squeezed() -> None:
    device = Device(Clock())
    found = measure_copies(device, Example(), host_free_bytes=100 * MIB, clock=device.clock)
    assert found.copies.within is not None and found.copies.from_host is None
    assert "only 100.0 MiB are free" in found.problems[0]


@pytest.mark.parametrize(
    ("fails", "left"),
    [
        ("free", {"from_host", "to_host"}),
        ("within", {"from_host", "to_host"}),
        ("pinned", {"within"}),
        ("from_host", {"within"}),
        ("to_host", {"within", "from_host"}),
    ],
)
def test_what_fails_leaves_the_rest(fails: str, left: set[str]) -> None:
    device = Device(Clock(), fails=fails)
    found = measure_copies(device, Example(), host_free_bytes=64 * GIB, clock=device.clock)
    assert {
        name for name in ("within", "from_host", "to_host") if getattr(found.copies, name) is not None
    } == left
    assert len(found.problems) == 1
    assert device.n_open == 0
