"""Other programs' share of the processors, from counters that are set by hand."""

import time
from types import SimpleNamespace

import psutil
import pytest

from hardware.other_work import OtherWork
from hardware.spec import MeasuredRate


class Counters:
    """Answers like psutil; the counters are what the test says."""

    Error = psutil.Error

    def __init__(self) -> None:
        self.answer: dict[str, float] | Exception = {"user": 100.0, "system": 10.0, "idle": 500.0}

    def cpu_times(self) -> SimpleNamespace:
        if isinstance(self.answer, Exception):
            raise self.answer
        return SimpleNamespace(**self.answer)


def test_other_programs_are_what_this_one_did_not_use(monkeypatch: pytest.MonkeyPatch) -> None:
    counters = Counters()
    clock = {"wall": 0.0, "own": 0.0}
    monkeypatch.setattr(time, "perf_counter", lambda: clock["wall"])
    monkeypatch.setattr(time, "process_time", lambda: clock["own"])
    work = OtherWork(counters)
    assert work.n_busy() is None  # no time has passed
    # In 10 s all processors were busy for 30 s, 12 of them for this process; idle time and waiting do not count.
    clock.update(wall=10.0, own=12.0)
    counters.answer = {"user": 120.0, "system": 15.0, "steal": 5.0, "idle": 505.0, "iowait": 50.0}
    assert work.n_busy() == pytest.approx(1.8)


def test_a_system_that_does_not_count_is_no_failure() -> None:
    counters = Counters()
    counters.answer = psutil.AccessDenied()
    assert OtherWork(counters).n_busy() is None


@pytest.mark.parametrize(("n_busy", "disturbed"), [(None, False), (0.0, False), (0.2, False), (0.4, True)])
def test_a_rate_beside_other_work_is_doubtful(n_busy: float | None, disturbed: bool) -> None:
    rate = MeasuredRate(
        per_s=1.0, method="m", n_threads=2, n_samples=4, spread_fraction=0.0, measured_at="2026-11-27T12:00:00+00:00",
        n_busy_elsewhere=n_busy,
    )  # fmt: skip
    assert rate.was_disturbed is disturbed  # 15 % of two threads is 0.3
