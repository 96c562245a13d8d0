"""Throttling, clocks, heat and battery, from recorded files and a stand-in for psutil."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hardware.strain import Strain, read_strain, strain_notes
from tests.hardware.file_tree import tree


class PsutilError(Exception):
    pass


def system(**answers: Any) -> SimpleNamespace:
    usual = {
        "cpu_freq": lambda: SimpleNamespace(current=2900.0),
        "sensors_temperatures": lambda: {
            "k10temp": [SimpleNamespace(current=61.5), SimpleNamespace(current=70.0)]
        },
        "sensors_battery": lambda: SimpleNamespace(power_plugged=False),
    }
    return SimpleNamespace(Error=PsutilError, **(usual | answers))


def test_everything_that_the_system_tells(tmp_path: Path) -> None:
    tree(
        tmp_path,
        {
            "cpu0/thermal_throttle/core_throttle_count": "3\n",
            "cpu0/thermal_throttle/package_throttle_count": "4\n",
            "cpu1/thermal_throttle/core_throttle_count": "1\n",
        },
    )
    found = read_strain(tmp_path, system())
    assert found == Strain(n_throttled=8, clock_hz=2.9e9, temperature_c=70.0, on_battery=True)


def test_what_it_does_not_tell_is_unknown(tmp_path: Path) -> None:
    def fails() -> None:
        raise PsutilError

    silent = system(cpu_freq=fails, sensors_temperatures=dict, sensors_battery=lambda: None)
    found = read_strain(tmp_path, silent)
    assert found == Strain(n_throttled=None, clock_hz=None, temperature_c=None, on_battery=None)


class Cards:
    """NVML with a card that counts nanoseconds of each policy, and one that does not."""

    NVML_PERF_POLICY_POWER, NVML_PERF_POLICY_THERMAL = 0, 1

    def __init__(self, power_ns: int, thermal_ns: int) -> None:
        self.held_ns = {0: power_ns, 1: thermal_ns}

    def nvmlInit(self) -> None: ...

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetViolationStatus(self, handle: int, policy: int) -> SimpleNamespace:
        if handle == 1:
            raise RuntimeError("Not Supported")
        return SimpleNamespace(referenceTime=0, violationTime=self.held_ns[policy])


def test_gpus_that_were_held_back_are_named(tmp_path: Path) -> None:
    before = read_strain(tmp_path, system(sensors_battery=lambda: None), gpus=True, nvml=Cards(10**9, 0))
    after = read_strain(
        tmp_path, system(sensors_battery=lambda: None), gpus=True, nvml=Cards(10**9, 2 * 10**9)
    )
    assert (before.gpu_capped_s, before.gpu_hot_s, after.gpu_hot_s) == (1.0, 0.0, 2.0)
    assert strain_notes(before, after) == ("the GPUs were held back for heat for 2.0 s meanwhile",)


@pytest.mark.parametrize(
    ("before", "after", "battery", "words"),
    [(3, 5, False, ["2 times"]), (3, 3, True, ["battery"]), (None, 5, None, []), (3, 3, False, [])],
)
def test_reasons_for_being_slow_are_named(
    before: int | None, after: int | None, battery: bool | None, words: list[str]
) -> None:
    def strain(n: int | None) -> Strain:
        return Strain(n_throttled=n, clock_hz=None, temperature_c=None, on_battery=battery)

    notes = strain_notes(strain(before), strain(after))
    assert len(notes) == len(words)
    assert all(word in note for word, note in zip(words, notes, strict=True))
