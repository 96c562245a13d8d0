"""How busy other programs keep the processors while something is measured."""

import importlib
import time
from typing import Any

_BUSY = ("user", "nice", "system", "irq", "softirq", "steal")  # steal: taken by other guests of the host


class OtherWork:
    """Counts from its making on; `psutil_module` and the clocks stand in for the system in tests."""

    def __init__(self, psutil_module: Any = None) -> None:
        self._psutil = psutil_module or importlib.import_module("psutil")
        self._started = self._now()

    def n_busy(self) -> float | None:
        """Processors that other programs kept busy since, on average; None where the system does not count."""
        before, now = self._started, self._now()
        if before is None or now is None or now[0] <= before[0]:
            return None
        passed, busy, own = (after - first for after, first in zip(now, before, strict=True))
        return float(max(0.0, busy - own) / passed)

    def _now(self) -> tuple[float, float, float] | None:
        """Time passed, busy time of all processors, and this process's part of it, in seconds."""
        try:
            times = self._psutil.cpu_times()
        except (OSError, self._psutil.Error):
            return None
        busy = sum(getattr(times, name, 0.0) for name in _BUSY)
        return time.perf_counter(), busy, time.process_time()
