"""What a reader of measurement files is: how it knows its format, and the rows that it finds."""

from collections.abc import Callable
from dataclasses import dataclass

from planner.readers.measurement_table import MeasurementTable
from planner.readers.measurements.given import Given
from planner.readers.measurements.text import MeasurementText


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementFormat:
    """One format. Its rows have the columns of llama-bench results, or those of latencies of serving engines."""

    name: str
    recognises: Callable[[MeasurementText], bool]
    read: Callable[[MeasurementText, Given], MeasurementTable]
