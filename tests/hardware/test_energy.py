"""Energy counters: recorded trees of /sys/class/powercap, NVML by a stand-in."""

import os
from pathlib import Path

import pytest

from hardware.energy import EnergyMeter, energy_meter, nvml_counters, rapl_counters
from tests.hardware.file_tree import tree

# Two packages, one with its memory and its cores apart, as an Intel server of two sockets shows them.
PACKAGES = {
    "intel-rapl:0/name": "package-0\n",
    "intel-rapl:0/energy_uj": "262143000000\n",
    "intel-rapl:0/max_energy_range_uj": "262143328850\n",
    "intel-rapl:0:0/name": "core\n",
    "intel-rapl:0:0/energy_uj": "5\n",
    "intel-rapl:0:0/max_energy_range_uj": "262143328850\n",
    "intel-rapl:0:1/name": "dram\n",
    "intel-rapl:0:1/energy_uj": "1000\n",
    "intel-rapl:0:1/max_energy_range_uj": "65712999613\n",
    "intel-rapl:1/name": "package-1\n",
    "intel-rapl:1/energy_uj": "70\n",
    "intel-rapl:1/max_energy_range_uj": "262143328850\n",
    "intel-rapl:2/name": "psys\n",
    "intel-rapl:2/energy_uj": "9\n",
    "intel-rapl:2/max_energy_range_uj": "262143328850\n",
}


def test_packages_and_memory_count_once_and_wrap(tmp_path: Path) -> None:
    tree(tmp_path, PACKAGES)
    counters, problems = rapl_counters(tmp_path)
    assert not problems
    assert sorted(counter.name for counter in counters) == ["RAPL dram", "RAPL package-0", "RAPL package-1"]
    meter = EnergyMeter(counters)
    tree(
        tmp_path,
        {
            "intel-rapl:0/energy_uj": "1671150\n",  # past its end: 328,850 up to it and 1,671,150 on
            "intel-rapl:0:1/energy_uj": "501000\n",
            "intel-rapl:1/energy_uj": "500070\n",
        },
    )
    assert meter.joules_since() == pytest.approx(2.0 + 0.5 + 0.5)
    assert meter.joules_since() == 0.0


def test_a_machine_without_counters_says_nothing(tmp_path: Path) -> None:
    meter = energy_meter(gpus=False, root=tmp_path)
    assert (meter.names, meter.problems, meter.joules_since()) == ((), (), None)


def test_a_counter_that_goes_away_makes_the_sum_unknown(tmp_path: Path) -> None:
    tree(tmp_path, PACKAGES)
    meter = energy_meter(gpus=False, root=tmp_path)
    (tmp_path / "intel-rapl:1/energy_uj").unlink()
    assert meter.joules_since() is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_counters_for_root_only_are_one_line(tmp_path: Path) -> None:
    tree(tmp_path, PACKAGES)
    for file in tmp_path.rglob("energy_uj"):
        file.chmod(0)
    counters, (problem,) = rapl_counters(tmp_path)
    assert not counters
    assert "only root" in problem


class Cards:
    """NVML with two cards: one too old to count, and one that is lost later."""

    def __init__(self) -> None:
        self.used_mj = 5_000
        self.lost = False

    def nvmlInit(self) -> None: ...

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:
        if handle == 0 or self.lost:
            raise RuntimeError("Not Supported")
        return self.used_mj


def test_cards_that_count_are_counted(tmp_path: Path) -> None:
    cards = Cards()
    (counter,) = nvml_counters(cards)
    assert counter.name == "GPU 1"
    cards.used_mj += 12_500
    assert counter.joules_since() == pytest.approx(12.5)
    cards.used_mj = 3  # the driver was loaded anew
    assert counter.joules_since() is None
    cards.lost = True
    assert counter.joules_since() is None
    assert energy_meter(gpus=True, root=tmp_path, nvml=Cards()).names == ("GPU 1",)
