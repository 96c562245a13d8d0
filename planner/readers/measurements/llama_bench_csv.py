"""llama-bench's own output as CSV: `llama-bench -o csv`."""

from planner.readers.measurement_table import MeasurementTable, parse_table
from planner.readers.measurements.format import MeasurementFormat
from planner.readers.measurements.given import Given
from planner.readers.measurements.llama_bench_fields import bench_table
from planner.readers.measurements.text import MeasurementText

_FIRST = "build_commit,"


def _header(file: MeasurementText) -> int | None:
    """The line of field names; lines about devices may stand before it."""
    return next(
        (
            number
            for number, line in enumerate(file.lines)
            if line.replace('"', "").startswith(_FIRST) and "avg_ts" in line
        ),
        None,
    )


def _recognises(file: MeasurementText) -> bool:
    return _header(file) is not None


def _read(file: MeasurementText, given: Given) -> MeasurementTable:
    table = parse_table(file.name, "\n".join(file.lines[_header(file) :]))
    return bench_table(file.name, table.rows, given)


FORMAT = MeasurementFormat(name="llama-bench CSV", recognises=_recognises, read=_read)
