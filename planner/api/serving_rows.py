"""Rows of measured serving engines, read with the catalogue, the accelerators and what runs were told."""

from collections.abc import Sequence
from typing import Any

from hardware.accelerators import find_accelerator
from hardware.errors import UnknownDeviceError
from hardware.spec import Accelerator
from planner.errors import MissingFactError
from planner.estimate.serving_speed.apart_runs import apart_runs_from_rows
from planner.estimate.serving_speed.latency_rows import LatencyRow, RowReader
from planner.estimate.serving_speed.measured_runs import run_settings_from_rows
from planner.estimate.serving_speed.row_sources import source_devices_from_rows
from planner.estimate.serving_speed.source_runs import source_runs_from_rows
from planner.readers.catalogue_lookup import catalogue_resolver
from profiles.loader import calibration_rows


def row_reader() -> RowReader:
    """A reader of rows that knows the catalogue and the accelerators."""
    return RowReader(
        model_of=catalogue_resolver(),
        device_of=_accelerator,
        runs=run_settings_from_rows(calibration_rows("serving_runs")),
        apart_runs=apart_runs_from_rows(calibration_rows("serving_apart_runs")),
        sources=source_devices_from_rows(calibration_rows("serving_sources")),
        source_runs=source_runs_from_rows(calibration_rows("serving_source_runs")),
    )


def _accelerator(name: str) -> Accelerator:
    try:
        return find_accelerator(name)
    except UnknownDeviceError as error:
        raise MissingFactError(str(error)) from error


def measured_rows(
    table_rows: Sequence[Any], reader: RowReader
) -> tuple[dict[int, LatencyRow], tuple[tuple[int, str], ...]]:
    """The rows that can be asked about by number, and why the others cannot."""
    found: dict[int, LatencyRow] = {}
    reasons = []
    for number, row in enumerate(table_rows):
        try:
            found[number] = reader.read(row)
        except MissingFactError as error:
            reasons.append((number, str(error)))
    return found, tuple(reasons)
