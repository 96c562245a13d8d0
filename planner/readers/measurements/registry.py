"""All formats of measurement files, and which of them a file has: told by what stands in it, whatever its name."""

from pathlib import Path
from typing import Final

from planner.errors import MalformedError
from planner.quoting import quoted
from planner.readers.measurement_table import MeasurementTable
from planner.readers.measurements import (
    aiperf,
    guidellm,
    llama_batched_bench,
    llama_bench_csv,
    llama_bench_json,
    llama_bench_markdown,
    sglang_bench,
    tables,
    vllm_bench,
)
from planner.readers.measurements.format import MeasurementFormat
from planner.readers.measurements.given import NOTHING_GIVEN, Given
from planner.readers.measurements.text import MeasurementText, read_text

FORMATS: Final[tuple[MeasurementFormat, ...]] = (
    tables.BENCHMARKS, tables.LATENCIES, tables.THROUGHPUT, llama_bench_csv.FORMAT, llama_bench_json.FORMAT,
    llama_bench_markdown.FORMAT, llama_batched_bench.FORMAT, sglang_bench.FORMAT, vllm_bench.FORMAT, guidellm.FORMAT, aiperf.FORMAT,
)  # fmt: skip


def read_measurements(
    path: Path, given: Given = NOTHING_GIVEN, more: tuple[MeasurementFormat, ...] = ()
) -> MeasurementTable:
    """The rows of a file of any known format, `more` ones included.

    Raises a ReadError for a file of no known format or with numbers that are none, and MissingFactError where a
    person has to say what the format leaves out.
    """
    return parse_measurements(read_text(path), given, more)


def parse_measurements(
    file: MeasurementText, given: Given = NOTHING_GIVEN, more: tuple[MeasurementFormat, ...] = ()
) -> MeasurementTable:
    """The rows of a file that has been read."""
    formats = (*more, *FORMATS)
    found = next((known for known in formats if known.recognises(file)), None)
    if found is None:
        names = "; ".join(known.name for known in formats)
        raise MalformedError(f"{quoted(file.name)} has none of the formats that are read: {names}")
    table = found.read(file, given)
    if not table.rows:
        raise MalformedError(f"{quoted(file.name)} has no results in it; it was read as {found.name}")
    return table
