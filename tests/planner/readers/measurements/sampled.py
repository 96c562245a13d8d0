"""Recorded results, read from the samples beside this file or from text."""

from pathlib import Path

from planner.readers.measurement_table import MeasurementTable
from planner.readers.measurements.given import NOTHING_GIVEN, Given
from planner.readers.measurements.registry import parse_measurements, read_measurements
from planner.readers.measurements.text import MeasurementText

SAMPLES = Path(__file__).parent / "samples"


def sample(name: str, given: Given = NOTHING_GIVEN) -> MeasurementTable:
    return read_measurements(SAMPLES / name, given)


def parsed(text: str, given: Given = NOTHING_GIVEN) -> MeasurementTable:
    return parse_measurements(MeasurementText(name="pasted.txt", text=text), given)
