"""A benchmark of a model that is not here: shallow files of its shape, run in the real engine, extrapolated."""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hardware.units import MIB
from planner.bench.llama_cpp import STOPPED
from planner.bench.protocol import BenchRequest, BenchSubject
from planner.bench.runner import Ended, run_child
from planner.bench.synthetic_file import scratch_folder, write_shallow_file
from planner.bench.synthetic_plan import ShallowFile, SyntheticPlan
from planner.errors import BenchError
from planner.estimate.described_model import DescribedModel
from planner.estimate.extrapolation import ShallowTimes, TooNoisyError, extrapolated_seconds, layers_work
from planner.estimate.measurement import (
    BenchRun,
    Measurement,
    Phase,
    ShallowRun,
    ShallowTest,
    Synthetic,
)
from planner.progress import Progress, stretch

COMMAND = (sys.executable, "-P", "-m", "planner.bench.synthetic_child")
_PHASES: tuple[Phase, ...] = ("prefill", "decode")
_WRITING_SHARE = 0.1  # of the progress display
_MEASURE_MARGIN_S = 60.0
_COLD_CACHES = 4  # times the last-level cache: whatever was read that long ago is not in it
_LITTLE_MORE = 1.2  # times the whole model: as much is read between two uses, near enough
_UNKNOWN_CACHE_BYTES = 128 * MIB  # as much as the largest of common processors
_ENOUGH_ROUNDS = 5
_Key = tuple[Phase, int, int]  # phase, depth, tokens


@dataclass(slots=True)
class _Answers:
    """What the child has said: times by test, then by file."""

    facts: dict[str, Any] = field(default_factory=dict)
    wall: dict[_Key, dict[int, list[float]]] = field(default_factory=dict)
    cpu: dict[_Key, dict[int, list[float]]] = field(default_factory=dict)
    flash_attention: bool = False

    def take(self, event: dict[str, Any]) -> None:
        """Keeps one event."""
        if event["event"] in ("engine", "model"):
            self.facts |= event
        elif event["event"] == "flash_attention":
            self.flash_attention = bool(event["enabled"])
        elif event["event"] == "sample":
            phase = _PHASES[_PHASES.index(event["phase"])]
            key = (phase, int(event["n_depth"]), int(event["n_tokens"]))
            for times, name in ((self.wall, "sample_s"), (self.cpu, "cpu_s")):
                times.setdefault(key, {}).setdefault(int(event["file"]), []).append(float(event[name]))


def bench_synthetic(
    model: DescribedModel,
    plan: SyntheticPlan,
    request: BenchRequest,
    subject: BenchSubject,
    *,
    folder: Path,
    cache_bytes: int | None,
    progress: Progress | None = None,
    command: Sequence[str] = COMMAND,
) -> BenchRun:
    """Writes the plan's files under `folder`, measures them in turn, and returns what the whole model would take.

    The files are removed as soon as the engine holds them, and their folder at the end, Ctrl-C included, which keeps
    what was measured as far as there is enough of it.
    `request.model_path` is not read. `cache_bytes` is the last-level cache, None where unknown.
    """
    how = turns(model, plan.files, cache_bytes)
    answers = _Answers()
    with scratch_folder(folder) as scratch:
        started = time.monotonic()
        paths = _write(plan, scratch, stretch(progress, 0.0, _WRITING_SHARE))
        writing_s = time.monotonic() - started

        def take(event: dict[str, Any]) -> None:
            answers.take(event)
            if (
                event["event"] == "model"
            ):  # mapped: the engine keeps what it needs without a name in the folder
                for path in paths:
                    path.unlink(missing_ok=True)

        stopped: KeyboardInterrupt | None = None
        try:
            ended = run_child(
                _request_line(request, paths, how),
                take,
                load_limit_s=request.load_limit_s,
                measure_limit_s=2 * request.budget_s + _MEASURE_MARGIN_S,
                progress=stretch(progress, _WRITING_SHARE, 1.0),
                command=command,
            )
        except KeyboardInterrupt as interrupt:
            ended, stopped = Ended(problem=STOPPED, hint=None), interrupt
    files = tuple(
        _shallow_run(model, answers, index, file, how.other_bytes[index])
        for index, file in enumerate(plan.files)
    )
    synthetic = Synthetic(
        n_layers=model.network.n_layers,
        files=files,
        disk_bytes=plan.n_bytes,
        writing_s=round(writing_s, 3),
    )
    try:
        return _run(model, request, subject, answers, synthetic, ended)
    except BenchError:
        if stopped is not None:  # before every file had been through a test
            raise stopped from None
        raise


def _write(plan: SyntheticPlan, scratch: Path, progress: Progress | None) -> list[Path]:
    n = len(plan.files)
    return [
        write_shallow_file(
            scratch / f"{len(file.layers)}-layers-{index}.gguf",
            file,
            n_vocabulary=plan.n_vocabulary,
            progress=stretch(progress, index / n, (index + 1) / n),
        )
        for index, file in enumerate(plan.files)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """Which files decode token by token in turn, and what else is read before each of their steps."""

    groups: tuple[tuple[int, ...], ...]
    other_bytes: tuple[int, ...]  # by file


def turns(model: DescribedModel, files: Sequence[ShallowFile], cache_bytes: int | None) -> Turns:
    """Turns in which about as much is read between two uses of a weight as in the whole model.

    Files in turn read each other's share of it, as the engine reads: with both threads, in the order of the layers. A
    cache keeps more of what is used so than of memory that is swept. Where all files together would read much more than
    the whole model does and a cache could notice, each has turns of its own and a sweep makes up for the rest.
    """
    whole = sum(weight.read_bytes_per_token for weight in model.storage.weights)
    needed = min(whole, _COLD_CACHES * (cache_bytes or _UNKNOWN_CACHE_BYTES))
    each = [_read_bytes(model, file) for file in files]
    numbers = tuple(range(len(files)))
    if sum(each) <= _LITTLE_MORE * whole or needed < whole:
        swept = max(0.0, needed - sum(each)) / len(files)
        return Turns(groups=(numbers,), other_bytes=tuple(int(swept) for _ in files))
    return Turns(
        groups=tuple((number,) for number in numbers),
        other_bytes=tuple(int(max(0.0, needed - here)) for here in each),
    )


def _read_bytes(model: DescribedModel, file: ShallowFile) -> float:
    chosen = set(file.layers)
    return sum(
        weight.read_bytes_per_token
        for weight in model.storage.weights
        if weight.layer is None or weight.layer in chosen
    )


def _request_line(request: BenchRequest, paths: Sequence[Path], how: Turns) -> str:
    facts = json.loads(request.to_json())
    files = [{"path": str(path), "sweep_bytes": n} for path, n in zip(paths, how.other_bytes, strict=True)]
    groups = [list(group) for group in how.groups]
    return json.dumps({**facts, "mode": "synthetic", "files": files, "groups": groups})


def _shallow_run(
    model: DescribedModel, answers: _Answers, index: int, file: ShallowFile, other_bytes: int
) -> ShallowRun:
    return ShallowRun(
        layers=file.layers,
        n_bytes=file.n_bytes,
        other_bytes=other_bytes,
        tests=tuple(
            ShallowTest(
                phase=phase,
                n_tokens=n_tokens,
                n_depth_tokens=depth,
                work=layers_work(model, file.layers, phase, depth, n_tokens),
                samples_s=tuple(times.get(index, ())),
                cpu_s=tuple(answers.cpu[phase, depth, n_tokens].get(index, ())),
            )
            for (phase, depth, n_tokens), times in answers.wall.items()
        ),
    )


def _run(
    model: DescribedModel,
    request: BenchRequest,
    subject: BenchSubject,
    answers: _Answers,
    synthetic: Synthetic,
    ended: Ended,
) -> BenchRun:
    measurements, notes = _measurements(model, synthetic)
    if not measurements:
        reason = ended.problem or "; ".join(notes) or "the engine finished without a result"
        hint = f"; {ended.hint}" if ended.hint else ""
        raise BenchError(f"{subject.model_name}, synthetic: {reason}{hint}")
    if ended.problem is not None:
        notes.append(f"incomplete: {ended.problem}")
    layers = " and ".join(str(len(file.layers)) for file in synthetic.files)
    notes.insert(
        0,
        f"synthetic: the model was not run; files of {layers} of its {synthetic.n_layers} layers with random weights "
        "were, and the rest is extrapolated",
    )
    return BenchRun(
        model_name=subject.model_name,
        model_path="",
        model_fingerprint=subject.model_fingerprint,
        model_bytes=sum(weight.n_bytes for weight in model.storage.weights),
        n_parameters=model.network.parameters.text,
        quantization=subject.quantization,
        engine="llama.cpp",
        engine_build=f"{answers.facts['build']}; {answers.facts['system_info']}",
        backend=str(answers.facts["backend"]),
        machine_fingerprint=subject.machine_fingerprint,
        machine_name=subject.machine_name,
        n_threads=int(answers.facts["n_threads"]),
        n_gpu_layers=int(answers.facts["n_gpu_layers"]),
        n_batch=request.n_batch,
        n_ubatch=request.n_ubatch,
        n_context_tokens=max(m.n_depth_tokens + m.n_tokens for m in measurements),
        kv_type=request.kv_type,
        flash_attention=answers.flash_attention,
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        measurements=measurements,
        memory=None,  # the engine held shallow files, not the model
        read_bytes_per_token=subject.read_bytes_per_token,
        matmul_parameters_per_token=subject.matmul_parameters_per_token,
        is_mixture=subject.is_mixture,
        synthetic=synthetic,
        notes=tuple(notes),
    )


def _measurements(model: DescribedModel, synthetic: Synthetic) -> tuple[tuple[Measurement, ...], list[str]]:
    """Every test that both the shallowest and the deepest file went through, extrapolated."""
    found, notes = [], []
    all_layers = range(model.network.n_layers)
    few, deep = synthetic.files[0], synthetic.files[-1]
    for few_test, deep_test in zip(few.tests, deep.tests, strict=True):
        n_rounds = min(len(few_test.samples_s), len(deep_test.samples_s))
        if not n_rounds:
            continue
        phase, depth, n_tokens = few_test.phase, few_test.n_depth_tokens, few_test.n_tokens
        measured = Measurement(
            phase=phase,
            n_prompt_tokens=n_tokens if phase == "prefill" else 0,
            n_generated_tokens=n_tokens if phase == "decode" else 0,
            n_depth_tokens=depth,
            samples_s=(1.0,),
        )
        try:
            seconds = extrapolated_seconds(
                ShallowTimes(work=few_test.work, samples_s=few_test.samples_s[:n_rounds]),
                ShallowTimes(work=deep_test.work, samples_s=deep_test.samples_s[:n_rounds]),
                layers_work(model, all_layers, phase, depth, n_tokens),
                phase,
            )
        except TooNoisyError as error:
            notes.append(f"{measured.name}: {error}; close other programs, or allow more time with --budget")
            continue
        found.append(replace(measured, samples_s=(seconds.expected,), low_s=seconds.low, high_s=seconds.high))
        if n_rounds < _ENOUGH_ROUNDS:
            notes.append(
                f"{measured.name}: only {n_rounds} rounds fitted into the time; allow more with --budget"
            )
    return tuple(found), notes
