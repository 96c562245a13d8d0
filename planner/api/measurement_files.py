"""Measurement files of every format, runs of our own benchmarks among them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from hardware.inspect import inspect_machine, machine_fingerprint
from hardware.units import GIB, GIGA
from planner.bench.load_store import LOADS
from planner.bench.store import is_run, run_from
from planner.errors import MalformedError
from planner.estimate.measurement import BenchRun, Measurement
from planner.load.load_summary import LoadLevel
from planner.load.load_test import LoadTest
from planner.quoting import quoted
from planner.readers.measurement_table import MeasurementTable
from planner.readers.measurements.format import MeasurementFormat
from planner.readers.measurements.given import NOTHING_GIVEN, Given
from planner.readers.measurements.llama_bench_fields import (
    COLUMNS,
    EXTRAPOLATED,
    PROMPTS_TOGETHER,
    devices_of,
)
from planner.readers.measurements.registry import read_measurements
from planner.readers.measurements.serving_fields import ServingLoad, serving_table
from planner.readers.measurements.text import MeasurementText

_MOST_FAILED: Final = 0.02  # of a level's requests; with more its times are those of another load


def measurement_table(path: str | Path, given: Given = NOTHING_GIVEN) -> MeasurementTable:
    """The rows of a file of any format that is read, as one of two kinds of table.

    Raises a ReadError for a file that is none, and MissingFactError where a person has to add what it leaves out.
    """
    return read_measurements(Path(path), given, (OWN_RUN, OWN_LOAD))


def _recognises(file: MeasurementText) -> bool:
    return any(is_run(item) for item in file.objects or ())


def _read(file: MeasurementText, given: Given) -> MeasurementTable:
    rows: list[dict[str, str]] = []
    for item in file.objects or ():
        if not is_run(item):
            continue
        try:
            rows += run_rows(run_from(item), file.name, given)
        except ValueError as error:
            raise MalformedError(f"{quoted(file.name)} is no benchmark run: {error}") from None
    return MeasurementTable(name=file.name, columns=COLUMNS, rows=tuple(rows))


__all__ = ["OWN_LOAD", "OWN_RUN", "Given", "load_table", "measurement_table", "run_rows"]

OWN_RUN: Final = MeasurementFormat(name="planner bench run", recognises=_recognises, read=_read)


def _read_loads(file: MeasurementText, given: Given) -> MeasurementTable:
    rows: list[Mapping[str, str]] = []
    columns: tuple[str, ...] = ()
    for item in file.objects or ():
        if not LOADS.is_one(item):
            continue
        try:
            table = load_table(LOADS.of(item), file.name, given)
        except ValueError as error:
            raise MalformedError(f"{quoted(file.name)} is no load test: {error}") from None
        rows += table.rows
        columns = table.columns
    return MeasurementTable(name=file.name, columns=columns, rows=tuple(rows))


OWN_LOAD: Final = MeasurementFormat(
    name="planner load test",
    recognises=lambda file: any(LOADS.is_one(item) for item in file.objects or ()),
    read=_read_loads,
)


def load_table(test: LoadTest, file: str, given: Given = NOTHING_GIVEN) -> MeasurementTable:
    """Each level of a load test as the latencies of a serving engine; MissingFactError where nobody said what served it."""
    said = replace(
        given,
        device=given.device or test.question.device or None,
        quantization=given.quantization or test.question.precision or None,
    )
    return serving_table(file, [_load(test, level) for level in test.levels], said)


def _load(test: LoadTest, level: LoadLevel) -> ServingLoad:
    few = level.n_failed > _MOST_FAILED * (level.n_good + level.n_failed)
    return ServingLoad(
        engine=test.engine,
        model=test.model,
        n_prompt_tokens=level.mean_prompt_tokens or None,
        n_output_tokens=level.mean_output_tokens or None,
        ttft_s=None if level.ttft is None else level.ttft.mean,
        tpot_s=None if level.tpot is None else level.tpot.mean,
        n_at_once=level.concurrency,
        mean_at_once=level.mean_under_way,
        n_answered=level.n_good,
        left_out=f"{level.n_failed} of {level.n_good + level.n_failed} requests failed" if few else "",
    )


def run_rows(run: BenchRun, file: str, given: Given) -> list[dict[str, str]]:
    """Each measurement of a run, at the quartile that estimates use."""
    said = _this_machine(run)
    cpu = given.processor or said.get("cpu_info", "")
    base = dict.fromkeys(COLUMNS, "") | {
        "backend": given.backend or run.backend,
        "engine": given.engine or run.engine,
        "build": given.build or run.engine_build,
        "model": given.model or run.model_name,
        "quant": given.quantization or run.quantization,
        "file_size_gib": f"{run.model_bytes / GIB:.12g}",
        "params_b": f"{run.n_parameters / GIGA:.12g}",
        "ngl": "all" if run.n_gpu_layers < 0 else str(run.n_gpu_layers),
        "fa": "1" if run.flash_attention else "0",
        "n_ubatch": str(run.n_ubatch),
        "type_k": run.kv_type,
        "cpu": cpu,
        "origin": run.machine_fingerprint,
        "notes": f"-b {run.n_batch}",
    }
    base |= devices_of(said, base["backend"], cpu, given, file)
    return [
        base
        | {
            "n_prompt": str(item.n_prompt_tokens),
            "n_gen": str(item.n_generated_tokens),
            "n_depth": str(item.n_depth_tokens),
            "n_sequences": str(item.n_sequences),
            "threads": str(item.n_threads or run.n_threads),
            "left_out": _left_out(run, item),
            "test": item.name,
            "tok_s": f"{item.quartile_tokens_per_s:.12g}",
        }
        for item in run.measurements
    ]


def _left_out(run: BenchRun, item: Measurement) -> str:
    if run.synthetic is not None:
        return EXTRAPOLATED
    return PROMPTS_TOGETHER if item.n_sequences > 1 and item.phase == "prefill" else ""


def _this_machine(run: BenchRun) -> dict[str, str]:
    """The names of processor and GPUs, where the run was made on the machine that asks."""
    machine = inspect_machine()
    if machine_fingerprint(machine) != run.machine_fingerprint:
        return {}
    return {
        "cpu_info": machine.cpu.model if machine.cpu else "",
        "gpu_info": ", ".join(gpu.name for gpu in machine.gpus),
    }
