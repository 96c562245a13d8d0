"""The smoke benchmark: pp512 and tg128 of a GGUF file in llama.cpp, as llama-bench measures them."""

import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from hardware.spec import Cpu
from planner.bench.protocol import (
    BenchRequest,
    BenchSubject,
    BenchTest,
    EngineBuffer,
    MemoryReport,
    MemoryRequest,
)
from planner.bench.runner import CHILD_COMMAND, Ended, run_child
from planner.bench.schedule import busy_note, neighbours_note
from planner.errors import BenchError
from planner.estimate.measurement import BenchRun, Conditions, EngineMemory, Measurement, Phase
from planner.estimate.modelled_speed import working_threads
from planner.progress import Progress

_PHASES: tuple[Phase, ...] = ("prefill", "decode")
STOPPED = "stopped by Ctrl-C"
_MEASURE_MARGIN_S = 30.0  # beyond the budget, for the repetition that is under way and for slow phases


def engine_is_installed() -> bool:
    """Whether llama-cpp-python is there, found without importing it (which takes a second)."""
    return importlib.util.find_spec("llama_cpp") is not None


def require_engine() -> None:
    """Raises BenchError, which says how to add the engine, when it is not installed."""
    if not engine_is_installed():
        raise BenchError(
            "measuring needs llama.cpp, which is not installed; add it with "
            '`pip install "llama-cpp-python>=0.3.36"` (it compiles for about 7 minutes)'
        )


def default_threads(cpu: Cpu) -> int:
    """llama-bench's choice, one thread per physical core, within what this process may use."""
    return working_threads(cpu)


def bench_llama_cpp(
    request: BenchRequest,
    subject: BenchSubject,
    *,
    progress: Progress | None = None,
    command: Sequence[str] | None = None,
    more: Mapping[str, str] = MappingProxyType({}),
) -> BenchRun:
    """Measures a model and returns the run; `progress` is called with the part done and a short text.

    Takes about 45 s for a small model, and at most a little over `request.budget_s` after loading. What was
    measured before a crash or time-out is kept, with a note; without any of it a BenchError says what
    happened. Ctrl-C leaves the engine gone, and what was measured before it with a note that ends in `STOPPED`;
    it passes through when there was nothing yet. `more` is what another child than ours must know besides.
    """
    _check(request, command)
    answers = _Answers()
    try:
        ended = run_child(
            json.dumps({**json.loads(request.to_json()), **more}),
            answers.take,
            load_limit_s=request.load_limit_s,
            measure_limit_s=2 * request.budget_s + _MEASURE_MARGIN_S,
            progress=progress,
            command=command or CHILD_COMMAND,
        )
    except KeyboardInterrupt:
        if not answers.samples:
            raise
        ended = Ended(problem=STOPPED, hint=None)
    return answers.run(request, subject, ended)


def engine_memory(
    request: MemoryRequest, *, limit_s: float = 600.0, command: Sequence[str] | None = None
) -> MemoryReport:
    """What the engine itself would allocate under these flags, without loading the weights (about 1 s)."""
    _check(request, command)
    answers = _Answers()
    ended = run_child(
        request.to_json(),
        answers.take,
        load_limit_s=limit_s,
        measure_limit_s=limit_s,
        command=command or CHILD_COMMAND,
    )
    if ended.problem is not None or answers.memory is None:
        raise _error(request, ended)
    return MemoryReport(
        memory=answers.memory,
        buffers=answers.buffers,
        n_context_tokens=answers.n_context_tokens,
        flash_attention=answers.flash_attention,
        engine_build=str(answers.facts.get("build", "")),
    )


@dataclass(slots=True)
class _Answers:
    """What the child has said so far."""

    facts: dict[str, Any] = field(default_factory=dict)
    samples: dict[BenchTest, list[float]] = field(default_factory=dict)
    cpu: dict[BenchTest, list[float]] = field(default_factory=dict)
    joules: dict[BenchTest, list[float | None]] = field(default_factory=dict)
    conditions: Conditions | None = None
    notes: list[str] = field(default_factory=list)
    memory: EngineMemory | None = None
    buffers: tuple[EngineBuffer, ...] = ()
    n_context_tokens: int = 0
    flash_attention: bool = False

    def take(self, event: dict[str, Any]) -> None:
        """Keeps one event; the child is our own program, so a malformed one is a bug and raises."""
        kind = event["event"]
        if kind in ("engine", "model"):
            self.facts |= event
        elif kind == "memory":
            names = EngineMemory.__dataclass_fields__
            self.memory = EngineMemory(**{name: int(event[name]) for name in names})
            self.buffers = tuple(EngineBuffer(**buffer) for buffer in event.get("buffers", ()))
            self.n_context_tokens = int(event["n_context_tokens"])
            self.flash_attention = bool(event.get("flash_attention", self.flash_attention))
        elif kind == "flash_attention":
            self.flash_attention = bool(event["enabled"])
        elif kind == "note":
            self.notes.append(str(event["text"]))
        elif kind == "sample":
            phase = _PHASES[_PHASES.index(event["phase"])]
            test = BenchTest(
                phase=phase,
                n_tokens=int(event["n_tokens"]),
                depth=int(event["n_depth"]),
                n_sequences=int(event["n_sequences"]),
                n_threads=None if event["n_threads"] is None else int(event["n_threads"]),
            )
            self.samples.setdefault(test, []).append(float(event["sample_s"]))
            if event["cpu_s"] is not None:
                self.cpu.setdefault(test, []).append(float(event["cpu_s"]))
            self.joules.setdefault(test, []).append(event["energy_j"])
        elif kind == "conditions":
            facts = {name: event[name] for name in Conditions.__dataclass_fields__}
            self.conditions = Conditions(**{**facts, "energy_counters": tuple(facts["energy_counters"])})

    def run(self, request: BenchRequest, subject: BenchSubject, ended: Ended) -> BenchRun:
        """The record of everything measured, or the reason why there is nothing."""
        if not self.samples:
            raise _error(request, ended)
        measurements = tuple(self._measurement(test) for test in self.samples)
        notes = list(self.notes)
        if self.conditions is not None:
            notes += filter(None, (neighbours_note(self.conditions.other_cores),))
        notes += filter(None, (busy_note(item.name, item.samples_s) for item in measurements))
        if ended.problem is not None:
            notes.append(f"incomplete: {ended.problem}")
        return BenchRun(
            model_name=subject.model_name,
            model_path=str(request.model_path),
            model_fingerprint=subject.model_fingerprint,
            model_bytes=int(self.facts["model_bytes"]),
            n_parameters=int(self.facts["n_parameters"]),
            quantization=subject.quantization,
            engine="llama.cpp",
            engine_build=f"{self.facts['build']}; {self.facts['system_info']}",
            backend=str(self.facts["backend"]),
            machine_fingerprint=subject.machine_fingerprint,
            machine_name=subject.machine_name,
            n_threads=int(self.facts["n_threads"]),
            n_gpu_layers=int(self.facts["n_gpu_layers"]),
            n_batch=request.n_batch,
            n_ubatch=request.n_ubatch,
            n_context_tokens=self.n_context_tokens
            or max(test.n_tokens + test.depth for test in self.samples),
            kv_type=request.kv_type,
            flash_attention=self.flash_attention,
            measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
            measurements=measurements,
            memory=self.memory,
            conditions=self.conditions,
            read_bytes_per_token=subject.read_bytes_per_token,
            matmul_parameters_per_token=subject.matmul_parameters_per_token,
            is_mixture=subject.is_mixture,
            notes=tuple(notes),
        )

    def _measurement(self, test: BenchTest) -> Measurement:
        joules = [value for value in self.joules[test] if value is not None]
        return Measurement(
            phase=test.phase,
            n_prompt_tokens=test.n_tokens if test.phase == "prefill" else 0,
            n_generated_tokens=test.n_tokens if test.phase == "decode" else 0,
            n_depth_tokens=test.depth,
            samples_s=tuple(self.samples[test]),
            n_sequences=test.n_sequences,
            n_threads=test.n_threads,
            cpu_s=tuple(self.cpu.get(test, ())),
            energy_j=sum(joules) if len(joules) == len(self.joules[test]) else None,
        )


def _check(request: BenchRequest | MemoryRequest, command: Sequence[str] | None) -> None:
    if not request.model_path.is_file():
        raise BenchError(f"there is no model file {request.model_path}; give the path of a .gguf file")
    if command is None:
        require_engine()


def _error(request: BenchRequest | MemoryRequest, ended: Ended) -> BenchError:
    reason = ended.problem or "the engine finished without a result"
    hint = f"; {ended.hint}" if ended.hint else ""
    return BenchError(f"{request.model_path.name}: {reason}{hint}")
