"""llama.cpp's own `llama-bench` as an engine: run with JSON lines, one for each test it has finished."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from planner.bench.protocol import MAX_LINE_BYTES, BenchRequest, BenchSubject
from planner.bench.runner import Ended, run_child
from planner.bench.schedule import busy_note
from planner.errors import BenchError
from planner.estimate.llama_bench_records import Filed, Record, RecordError, runs_of_records
from planner.estimate.measurement import BenchRun
from planner.progress import Progress

PROGRAM = "llama-bench"
_MARGIN_S = 30.0


def find_program(name: str, given: str | None = None) -> str:
    """The program at a path, or of that name on the PATH; BenchError when there is none."""
    found = shutil.which(given or name)
    if found is None:
        raise BenchError(
            f"there is no {name} {'at ' + repr(given) if given else 'on the PATH'}; build it from llama.cpp, or leave "
            "--engine out: llama-cpp-python measures the same"
        )
    return found


def bench_llama_bench(
    request: BenchRequest,
    subject: BenchSubject,
    *,
    program: str,
    n_repetitions: int = 5,
    progress: Progress | None = None,
) -> BenchRun:
    """Measures with the program; what it printed before a crash or the time limit is kept, with a note."""
    rows = _Rows(progress, n_tests=2 * len(request.depths))
    limit_s = request.load_limit_s + 2 * request.budget_s + _MARGIN_S
    ended = run_child(
        "",
        rows.take,
        load_limit_s=limit_s,
        measure_limit_s=limit_s,
        command=command_line(program, request, n_repetitions),
        parse=parse_row,
        says_done=False,
    )
    return _run(rows.records, request, subject, ended)


def command_line(program: str, request: BenchRequest, n_repetitions: int) -> list[str]:
    """The program's command for a request; what it cannot do is refused."""
    if request.batches or request.threads:
        raise BenchError(
            "llama-bench measures one sequence at a time with one number of threads; leave --batches and "
            "--thread-sweep out, or --engine"
        )
    if not request.model_path.is_file():
        raise BenchError(f"there is no model file {request.model_path}; give the path of a .gguf file")
    flash = {None: [], True: ["-fa", "1"], False: ["-fa", "0"]}[request.flash_attention]
    threads = [] if request.n_threads is None else ["-t", str(request.n_threads)]
    layers = [] if request.n_gpu_layers < 0 else ["-ngl", str(request.n_gpu_layers)]
    depths = [*request.depths, *([request.long_depth] if request.long_depth else [])]
    return [
        program, "-m", str(request.model_path), "-p", str(request.n_prompt), "-n", str(request.n_gen),
        "-d", ",".join(map(str, depths)), "-r", str(n_repetitions), "-b", str(request.n_batch),
        "-ub", str(request.n_ubatch), "-ctk", request.kv_type, "-ctv", request.kv_type, *threads, *layers, *flash,
        "-o", "jsonl",
    ]  # fmt: skip


def parse_row(line: bytes) -> dict[str, Any] | None:
    """A line of the program's output as an event; None for anything that is no test."""
    if len(line) > MAX_LINE_BYTES:
        return None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return {"event": "row", "record": record} if isinstance(record, dict) and "n_prompt" in record else None


@dataclass(slots=True)
class _Rows:
    progress: Progress | None
    n_tests: int
    records: list[Record] = field(default_factory=list)

    def take(self, event: dict[str, Any]) -> None:
        """Keeps one test."""
        self.records.append(event["record"])
        if self.progress is not None:
            self.progress(min(1.0, len(self.records) / self.n_tests), f"{len(self.records)} tests done")


def _run(records: Sequence[Record], request: BenchRequest, subject: BenchSubject, ended: Ended) -> BenchRun:
    filed = Filed(
        model_fingerprint=subject.model_fingerprint,
        machine_fingerprint=subject.machine_fingerprint,
        machine_name=subject.machine_name,
        model_name=subject.model_name,
        quantization=subject.quantization,
    )
    try:
        runs = list(runs_of_records(records, filed))
    except RecordError as error:
        raise BenchError(f"llama-bench printed something else than its own format: {error}") from error
    if not runs:
        hint = f"; {ended.hint}" if ended.hint else ""
        reason = ended.problem or "llama-bench finished without a result"
        raise BenchError(f"{request.model_path.name}: {reason}{hint}")
    run = runs[0]
    notes = [note for item in run.measurements if (note := busy_note(item.name, item.samples_s)) is not None]
    if ended.problem is not None:
        notes.append(f"incomplete: {ended.problem}")
    return replace(
        run,
        model_path=str(Path(request.model_path)),
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        read_bytes_per_token=subject.read_bytes_per_token,
        matmul_parameters_per_token=subject.matmul_parameters_per_token,
        is_mixture=subject.is_mixture,
        notes=tuple(notes),
    )
