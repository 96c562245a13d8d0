"""Tables of measurements as CSV, with the facts of every row in its own cells."""

from planner.estimate.serving_speed.latency_rows import COLUMNS as LATENCY_COLUMNS
from planner.estimate.serving_speed.rate_rows import COLUMNS as RATE_COLUMNS
from planner.readers.measurement_table import MeasurementTable, parse_table
from planner.readers.measurements.format import MeasurementFormat
from planner.readers.measurements.given import Given
from planner.readers.measurements.text import MeasurementText
from planner.readers.speed_rows.bench_row import COLUMNS as BENCH_COLUMNS


def _header(file: MeasurementText) -> set[str]:
    first = file.text.partition("\n")[0]
    return {cell.strip().strip('"') for cell in first.split(",")}


def _of_benchmarks(file: MeasurementText) -> bool:
    return set(BENCH_COLUMNS) <= _header(file)


def _of_latencies(file: MeasurementText) -> bool:
    return set(LATENCY_COLUMNS) <= _header(file)


def _of_throughput(file: MeasurementText) -> bool:
    return set(RATE_COLUMNS) <= _header(file)


def _read(file: MeasurementText, _: Given) -> MeasurementTable:
    return parse_table(file.name, file.text)


BENCHMARKS = MeasurementFormat(
    name=f"CSV table of benchmarks ({', '.join(BENCH_COLUMNS)})", recognises=_of_benchmarks, read=_read
)
LATENCIES = MeasurementFormat(
    name=f"CSV table of latencies ({', '.join(LATENCY_COLUMNS)})", recognises=_of_latencies, read=_read
)
THROUGHPUT = MeasurementFormat(
    name=f"CSV table of throughput ({', '.join(RATE_COLUMNS)})", recognises=_of_throughput, read=_read
)
