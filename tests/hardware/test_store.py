"""Measured rates on disk: whole or not at all, and damage is said."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hardware.errors import HardwareError
from hardware.inspect import machine_fingerprint
from hardware.spec import Gpu, GpuCopies, Machine, MeasuredRate
from hardware.store import (
    StoredRates,
    data_folder,
    load_rates,
    rates_file,
    save_rates,
    stored_copies,
    with_stored_rates,
)

PRINT = "0123456789abcdef"
BANDWIDTH = MeasuredRate(
    per_s=40.5e9, method="numpy add.reduce over 256.0 MiB", n_threads=2, n_samples=40, spread_fraction=0.05,
    measured_at="2026-01-02T03:04:05+00:00",
)  # fmt: skip
MATRIX = MeasuredRate(
    per_s=160e9, method="numpy matmul 1024 x 1024 fp32", n_threads=2, n_samples=50, spread_fraction=0.02,
    measured_at="2026-01-02T03:04:06+00:00",
)  # fmt: skip


def test_rates_come_back_as_they_were(tmp_path: Path) -> None:
    assert load_rates(tmp_path, PRINT) == StoredRates()
    file = save_rates(tmp_path, PRINT, StoredRates(memory_bandwidth=BANDWIDTH))
    assert file == rates_file(tmp_path, PRINT)
    assert load_rates(tmp_path, PRINT) == StoredRates(memory_bandwidth=BANDWIDTH)
    # A later measurement of the other rate keeps the first; nothing temporary stays behind.
    save_rates(tmp_path, PRINT, StoredRates(matrix_throughput=MATRIX))
    assert load_rates(tmp_path, PRINT) == StoredRates(memory_bandwidth=BANDWIDTH, matrix_throughput=MATRIX)
    assert [child.name for child in file.parent.iterdir()] == [f"{PRINT}.json"]
    assert load_rates(tmp_path, "f" * 16) == StoredRates()


def test_disk_and_memory_are_kept_apart(tmp_path: Path) -> None:
    disk = replace(BANDWIDTH, per_s=0.9e9, method="sequential read")
    save_rates(tmp_path, PRINT, StoredRates(disk_read=disk))
    save_rates(tmp_path, PRINT, StoredRates(memory_bandwidth=BANDWIDTH))
    assert load_rates(tmp_path, PRINT) == StoredRates(memory_bandwidth=BANDWIDTH, disk_read=disk)


def test_a_machine_gets_its_own_rates(tmp_path: Path) -> None:
    machine = Machine(name="this machine", cpu=None, memory=None)
    assert with_stored_rates(machine, tmp_path).memory_bandwidth is None
    save_rates(tmp_path, machine_fingerprint(machine), StoredRates(memory_bandwidth=BANDWIDTH))
    assert with_stored_rates(machine, tmp_path).memory_bandwidth == BANDWIDTH


def gpu(uuid: str | None, index: int = 0, copies: GpuCopies | None = None) -> Gpu:
    return Gpu(
        index=index, name="Example", memory_bytes=1, free_bytes=1, accelerator=None, uuid=uuid, copies=copies
    )


def test_copies_belong_to_one_gpu_and_are_kept_by_direction(tmp_path: Path) -> None:
    one, two = gpu("GPU-1"), gpu("GPU-2", index=1)
    machine = Machine(name="this machine", cpu=None, memory=None, gpus=(one, two))
    fingerprint = machine_fingerprint(machine)
    first = replace(one, copies=GpuCopies(within=BANDWIDTH, to_host=MATRIX))
    save_rates(tmp_path, fingerprint, StoredRates(gpu_copies=stored_copies((first, two))))
    second = replace(one, copies=GpuCopies(within=MATRIX))
    save_rates(tmp_path, fingerprint, StoredRates(gpu_copies=stored_copies((second,))))
    found = with_stored_rates(machine, tmp_path)
    # The newer of each direction; the card that was not measured has none.
    assert [each.copies for each in found.gpus] == [GpuCopies(within=MATRIX, to_host=MATRIX), None]
    # Another card of the same kind in its place: the same fingerprint, other rates.
    swapped = replace(machine, gpus=(gpu("GPU-3"), two))
    assert machine_fingerprint(swapped) == fingerprint
    assert [each.copies for each in with_stored_rates(swapped, tmp_path).gpus] == [None, None]


def test_gpus_without_a_uuid_are_told_apart_by_their_number(tmp_path: Path) -> None:
    copies = GpuCopies(within=BANDWIDTH)
    machine = Machine(name="this machine", cpu=None, memory=None, gpus=(gpu(None), gpu(None, index=1)))
    kept = stored_copies((gpu(None, index=1, copies=copies),))
    save_rates(tmp_path, machine_fingerprint(machine), StoredRates(gpu_copies=kept))
    assert [each.copies for each in with_stored_rates(machine, tmp_path).gpus] == [None, copies]


GOOD = {
    "per_s": 1.0, "method": "m", "n_threads": 1, "n_samples": 1, "spread_fraction": 0.0, "measured_at": "t",
}  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"version": 1',
        "[]",
        "{}",
        '{"version": 99}',
        "\x00\x01",
        "[" * 100_000,
        json.dumps({"version": 1, "gpu_copies": {}}),
        '{"version": 1, "gpu_copies": [{"copies": {}}]}',
        *(
            json.dumps({"version": 1, "memory_bandwidth": rate})
            for rate in (
                5,
                {},
                {**GOOD, "per_s": -1},
                {**GOOD, "per_s": 0},
                {**GOOD, "per_s": "fast"},
                {**GOOD, "per_s": float("nan")},
                {**GOOD, "n_threads": 1.5},
                {**GOOD, "method": None},
            )
        ),
    ],
)
def test_a_damaged_file_says_which_to_delete(tmp_path: Path, text: str) -> None:
    file = rates_file(tmp_path, PRINT)
    file.parent.mkdir(parents=True)
    file.write_text(text)
    with pytest.raises(HardwareError) as caught:
        load_rates(tmp_path, PRINT)
    assert str(file) in str(caught.value)
    assert "delete it" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_damage(tmp_path: Path) -> None:
    file = rates_file(tmp_path, PRINT)
    file.parent.mkdir(parents=True)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(HardwareError, match="delete it"):
        load_rates(tmp_path, PRINT)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(HardwareError, match="PLANNER_DATA_DIR"):
        save_rates(blocked, PRINT, StoredRates(memory_bandwidth=BANDWIDTH))


@pytest.mark.parametrize("fingerprint", ["../../etc/passwd", "", "ABC", "0123456"])
def test_a_fingerprint_is_never_a_path(tmp_path: Path, fingerprint: str) -> None:
    with pytest.raises(ValueError, match="fingerprint"):
        load_rates(tmp_path, fingerprint)


def test_the_folder_can_be_chosen(tmp_path: Path) -> None:
    assert data_folder({"PLANNER_DATA_DIR": str(tmp_path)}) == tmp_path
    assert data_folder({}).name == "planner"
