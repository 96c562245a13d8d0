"""llama-bench's own output as it stands in a terminal or a post: Markdown tables, with the engine's lines around them.

The table does not name the device; the lines that the engine prints before it do, when they were pasted too.
"""

import re
from collections.abc import Iterator
from typing import Final

from planner.readers.measurement_table import MeasurementTable
from planner.readers.measurements.format import MeasurementFormat
from planner.readers.measurements.given import Given
from planner.readers.measurements.llama_bench_fields import (
    bench_table,
    parameter_count,
    size_bytes,
    test_counts,
)
from planner.readers.measurements.text import MeasurementText

# What the columns are called, and the fields that they are.
_FIELDS: Final = {
    "model": "model_type", "backend": "backends", "ngl": "n_gpu_layers", "threads": "n_threads", "sm": "split_mode",
    "fa": "flash_attn", "dev": "devices", "ot": "tensor_buft_overrides", "ts": "tensor_split", "nkvo": "no_kv_offload",
}  # fmt: skip
_DEVICE_LINES: Final = (
    re.compile(r"^\s*Device \d+: (?P<name>.+?), (?:compute capability|gfx|VMM)"),  # CUDA, ROCm
    re.compile(r"^\s*ggml_vulkan: \d+ = (?P<name>.+?) \("),
    re.compile(r"^\s*ggml_vulkan: \d+ = (?P<name>[^|]+?) \|"),
    re.compile(r"^\s*ggml_metal\w*: (?:GPU name:|found device:|picking default device:)\s+(?P<name>.+?)\s*$"),
)
_COUNT_LINES: Final = re.compile(r"found (\d+) \w+ devices", re.IGNORECASE)
_BUILD: Final = re.compile(r"^\s*build: (?P<commit>[0-9a-fx]+) \((?P<number>\d+)\)", re.IGNORECASE)
_RATE: Final = re.compile(r"\d+(?:\.\d+)?")


def _cells(line: str) -> list[str] | None:
    """The cells of a line of a table; None for any other line."""
    text = line.strip().removeprefix("> ").strip()
    if not text.startswith("|") or text.count("|") < 4:
        return None
    return [cell.strip().strip("*`") for cell in text.strip("|").split("|")]


def _is_header(cells: list[str]) -> bool:
    return {"model", "size", "params", "test", "t/s"} <= set(cells)


def _recognises(file: MeasurementText) -> bool:
    return any(cells is not None and _is_header(cells) for cells in map(_cells, file.lines))


def _read(file: MeasurementText, given: Given) -> MeasurementTable:
    return bench_table(file.name, list(_records(file)), given)


def _records(file: MeasurementText) -> Iterator[dict[str, str]]:
    """Every line of every table with what the lines around its table say."""
    header: list[str] | None = None
    devices: list[str] = []
    waiting: list[dict[str, str]] = []  # for the line about the build, which stands below its table
    for line in file.lines:
        cells = _cells(line)
        if cells is None:
            build = _BUILD.match(line)
            if build:
                yield from (
                    record | {"build_commit": build["commit"], "build_number": build["number"]}
                    for record in waiting
                )
                waiting = []
            if _COUNT_LINES.search(line):
                devices = []
            name = next((found["name"] for rule in _DEVICE_LINES if (found := rule.match(line))), None)
            if name is not None and name not in ("",):
                devices.append(name.strip())
            continue
        if _is_header(cells):
            header = cells
            continue
        if header is None or set("".join(cells)) <= set("-: "):
            continue
        waiting.append(_record(file.name, header, cells, devices))
    yield from waiting


def _record(file: str, header: list[str], cells: list[str], devices: list[str]) -> dict[str, str]:
    said = dict(zip(header, cells, strict=False))
    rate = _RATE.match(said.get("t/s", ""))
    record = {_FIELDS.get(name, name): value for name, value in said.items() if name not in ("test", "t/s")}
    record |= {
        "model_size": str(size_bytes(said.get("size", "")) or said.get("size", "")),
        "model_n_params": str(parameter_count(said.get("params", "")) or said.get("params", "")),
        "avg_ts": rate[0] if rate else said.get("t/s", ""),
        "gpu_info": ", ".join(devices),
    }
    return record | test_counts(said.get("test", ""), file)


FORMAT = MeasurementFormat(name="llama-bench Markdown", recognises=_recognises, read=_read)
