"""Rates measured on this machine, kept between runs: one small JSON file per machine fingerprint."""

import importlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hardware.errors import HardwareError
from hardware.inspect import machine_fingerprint
from hardware.record_json import Keys, RecordError, record_from_data, record_to_data
from hardware.spec import Gpu, GpuCopies, Machine, MeasuredRate
from hardware.units import MIB

_VERSION = 1
_KEYS = Keys(names={}, shown={})
_MAX_FILE_BYTES = MIB
_FINGERPRINT = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCopies:
    """What was measured on one GPU; `gpu` is its UUID, or its name and number where it has none."""

    gpu: str
    copies: GpuCopies


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRates:
    """What was measured on one machine so far, None where nothing was."""

    memory_bandwidth: MeasuredRate | None = None
    matrix_throughput: MeasuredRate | None = None
    disk_read: MeasuredRate | None = None
    mapped_read: MeasuredRate | None = None
    gpu_copies: tuple[StoredCopies, ...] = ()


def data_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Where the planner keeps its data: PLANNER_DATA_DIR, or the system's place for a user's data."""
    chosen = (os.environ if environ is None else environ).get("PLANNER_DATA_DIR")
    if chosen:
        return Path(chosen).expanduser()
    platformdirs = importlib.import_module("platformdirs")  # only needed without the variable
    return Path(platformdirs.user_data_path("planner"))


def rates_file(folder: Path, fingerprint: str) -> Path:
    """The file that holds the rates of one machine."""
    if not _FINGERPRINT.fullmatch(fingerprint):
        raise ValueError(f"{fingerprint!r} is not a machine fingerprint")
    return folder / "machines" / f"{fingerprint}.json"


def save_rates(folder: Path, fingerprint: str, rates: StoredRates) -> Path:
    """Write the rates of one machine, whole or not at all, and say where; None keeps what was there."""
    file = rates_file(folder, fingerprint)
    known = load_rates(folder, fingerprint)
    merged = StoredRates(
        memory_bandwidth=rates.memory_bandwidth or known.memory_bandwidth,
        matrix_throughput=rates.matrix_throughput or known.matrix_throughput,
        disk_read=rates.disk_read or known.disk_read,
        mapped_read=rates.mapped_read or known.mapped_read,
        gpu_copies=_merged(known.gpu_copies, rates.gpu_copies),
    )
    text = json.dumps({"version": _VERSION, **record_to_data(merged, _KEYS)}, indent=2) + "\n"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # A new name in the same folder, then one rename: a reader or a crash never meets half a file.
        descriptor, name = tempfile.mkstemp(prefix=f".{fingerprint}-", suffix=".tmp", dir=file.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text)
            Path(name).replace(file)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise HardwareError(
            f"cannot write {file}: {error.strerror or error}; set PLANNER_DATA_DIR to a folder you can write"
        ) from error
    return file


def load_rates(folder: Path, fingerprint: str) -> StoredRates:
    """The rates kept for one machine; all None when nothing was measured yet."""
    file = rates_file(folder, fingerprint)
    try:
        with file.open(encoding="utf-8") as stream:
            document = json.loads(stream.read(_MAX_FILE_BYTES))
    except (FileNotFoundError, NotADirectoryError):
        return StoredRates()
    except OSError as error:
        raise HardwareError(
            f"cannot read {file}: {error.strerror or error}; check its permissions"
        ) from error
    except (ValueError, RecursionError) as error:
        raise _corrupt(file, "not JSON") from error
    if not isinstance(document, dict) or document.get("version") != _VERSION:
        raise _corrupt(file, f"not a file of version {_VERSION}")
    try:
        rates = record_from_data(StoredRates, document, _KEYS)
    except RecordError as error:
        raise _corrupt(file, str(error)) from error
    if any(rate.per_s == 0 for rate in _every_rate(rates)):
        raise _corrupt(file, "a rate is 0")
    return rates


def with_stored_rates(machine: Machine, folder: Path) -> Machine:
    """The machine with the rates that were measured on it earlier, if any."""
    rates = load_rates(folder, machine_fingerprint(machine))
    copies = {kept.gpu: kept.copies for kept in rates.gpu_copies}
    return replace(
        machine,
        gpus=tuple(
            gpu if gpu.copies is not None else replace(gpu, copies=copies.get(_gpu_key(gpu)))
            for gpu in machine.gpus
        ),
        memory_bandwidth=machine.memory_bandwidth or rates.memory_bandwidth,
        mapped_read=machine.mapped_read or rates.mapped_read,
        matrix_throughput=machine.matrix_throughput or rates.matrix_throughput,
        disk_read_bytes_per_s=machine.disk_read_bytes_per_s or rates.disk_read,
    )


def stored_copies(gpus: Sequence[Gpu]) -> tuple[StoredCopies, ...]:
    """The rates that these GPUs carry, as they are kept."""
    return tuple(StoredCopies(gpu=_gpu_key(gpu), copies=gpu.copies) for gpu in gpus if gpu.copies is not None)


def _gpu_key(gpu: Gpu) -> str:
    return gpu.uuid or f"{gpu.name} #{gpu.index}"


def _merged(known: Sequence[StoredCopies], new: Sequence[StoredCopies]) -> tuple[StoredCopies, ...]:
    """The newest of each direction of each GPU."""
    copies = {kept.gpu: kept.copies for kept in known}
    for each in new:
        before = copies.get(each.gpu, GpuCopies())
        copies[each.gpu] = GpuCopies(
            within=each.copies.within or before.within,
            from_host=each.copies.from_host or before.from_host,
            to_host=each.copies.to_host or before.to_host,
        )
    return tuple(StoredCopies(gpu=gpu, copies=rates) for gpu, rates in copies.items())


def _every_rate(rates: StoredRates) -> Iterator[MeasuredRate]:
    of_gpus = [
        rate
        for kept in rates.gpu_copies
        for rate in (kept.copies.within, kept.copies.from_host, kept.copies.to_host)
    ]
    for rate in (
        rates.memory_bandwidth,
        rates.matrix_throughput,
        rates.disk_read,
        rates.mapped_read,
        *of_gpus,
    ):
        if rate is not None:
            yield rate


def _corrupt(file: Path, why: str) -> HardwareError:
    return HardwareError(f"{file} is damaged ({why}); delete it and measure again")
