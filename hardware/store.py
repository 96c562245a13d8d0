"""Rates measured on this machine, kept between runs: one small JSON file per machine fingerprint."""

import importlib
import json
import math
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeGuard

from hardware.errors import HardwareError
from hardware.inspect import machine_fingerprint
from hardware.spec import Machine, MeasuredRate
from hardware.units import MIB

_VERSION = 1
_MAX_FILE_BYTES = MIB
_FINGERPRINT = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRates:
    """What was measured on one machine so far, None where nothing was."""

    memory_bandwidth: MeasuredRate | None = None
    matrix_throughput: MeasuredRate | None = None
    disk_read: MeasuredRate | None = None


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
    )
    text = json.dumps({"version": _VERSION, **asdict(merged)}, indent=2) + "\n"
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
    return StoredRates(
        memory_bandwidth=_rate(file, document, "memory_bandwidth"),
        matrix_throughput=_rate(file, document, "matrix_throughput"),
        disk_read=_rate(file, document, "disk_read"),
    )


def with_stored_rates(machine: Machine, folder: Path) -> Machine:
    """The machine with the rates that were measured on it earlier, if any."""
    rates = load_rates(folder, machine_fingerprint(machine))
    return replace(
        machine,
        memory_bandwidth=machine.memory_bandwidth or rates.memory_bandwidth,
        matrix_throughput=machine.matrix_throughput or rates.matrix_throughput,
        disk_read_bytes_per_s=machine.disk_read_bytes_per_s or rates.disk_read,
    )


def _rate(file: Path, document: Mapping[str, Any], key: str) -> MeasuredRate | None:
    value = document.get(key)
    if value is None:
        return None
    if not isinstance(value, dict):
        raise _corrupt(file, f"{key} is not a rate")
    per_s, spread = value.get("per_s"), value.get("spread_fraction")
    n_threads, n_samples = value.get("n_threads"), value.get("n_samples")
    method, measured_at = value.get("method"), value.get("measured_at")
    if not (_is_number(per_s) and per_s > 0 and _is_number(spread)):
        raise _corrupt(file, f"{key} has no positive rate")
    if type(n_threads) is not int or type(n_samples) is not int:
        raise _corrupt(file, f"{key} lacks its counts")
    if not isinstance(method, str) or not isinstance(measured_at, str):
        raise _corrupt(file, f"{key} does not say how and when")
    return MeasuredRate(
        per_s=float(per_s),
        method=method,
        n_threads=n_threads,
        n_samples=n_samples,
        spread_fraction=float(spread),
        measured_at=measured_at,
    )


def _is_number(value: Any) -> TypeGuard[int | float]:
    return type(value) in (int, float) and math.isfinite(value)


def _corrupt(file: Path, why: str) -> HardwareError:
    return HardwareError(f"{file} is damaged ({why}); delete it and measure again")
