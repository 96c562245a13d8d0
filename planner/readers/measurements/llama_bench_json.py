"""llama-bench's own output as JSON or as JSON lines: `llama-bench -o json`, `-o jsonl`."""

from planner.readers.measurement_table import MeasurementTable
from planner.readers.measurements.format import MeasurementFormat
from planner.readers.measurements.given import Given
from planner.readers.measurements.llama_bench_fields import bench_table
from planner.readers.measurements.text import MeasurementText


def _recognises(file: MeasurementText) -> bool:
    return any("model_type" in item and "avg_ts" in item for item in file.objects or ())


def _read(file: MeasurementText, given: Given) -> MeasurementTable:
    results = [item for item in file.objects or () if "model_type" in item]
    return bench_table(file.name, results, given)


FORMAT = MeasurementFormat(name="llama-bench JSON", recognises=_recognises, read=_read)
