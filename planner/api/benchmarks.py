"""Measure a model here, and keep what was measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hardware.inspect import machine_fingerprint
from hardware.spec import Machine
from planner.api.inspecting import inspect
from planner.api.machines import bench_folder, speed_facts
from planner.api.models import described_models, open_model
from planner.bench import llama_bench_program, llama_server_program
from planner.bench.llama_bench_program import bench_llama_bench, find_program
from planner.bench.llama_cpp import (
    STOPPED,
    bench_llama_cpp,
    default_threads,
    require_engine,
)
from planner.bench.llama_server_program import bench_llama_server
from planner.bench.protocol import BenchRequest, BenchSubject
from planner.bench.store import save_run
from planner.engines.llama_cpp import LlamaCppFlags
from planner.errors import BenchError
from planner.estimate.described_model import DescribedModel
from planner.estimate.expected_test import Expectation
from planner.estimate.fit import fit_row
from planner.estimate.measurement import BenchRun
from planner.estimate.own_bench import with_operators
from planner.estimate.speed import SpeedEstimate
from planner.progress import Progress, stretch

RATES_SHARE = 0.1  # of a benchmark's bar, for measuring the machine's rates first
BENCH_CONTEXT = 640  # pp512 and tg128 in one cache
LONG_DEPTH = 4096
SMOKE_BATCHES = (8,)
LIBRARY = "llama.cpp"
ENGINES = (LIBRARY, llama_bench_program.PROGRAM, llama_server_program.PROGRAM)


@dataclass(frozen=True, kw_only=True)
class BenchAnswer:
    """A benchmark and what had been expected of it."""

    run: BenchRun
    predicted: Mapping[str, SpeedEstimate]  # by test

    @property
    def was_stopped(self) -> bool:
        """Whether Ctrl-C ended it early."""
        return any(note.endswith(STOPPED) for note in self.run.notes)


@dataclass(frozen=True, kw_only=True)
class BenchSettings:
    """How long and where to measure; None leaves the number of threads to the engine's own rule."""

    n_threads: int | None = None
    budget_s: float = 60.0
    n_gpu_layers: int = -1
    depths: tuple[int, ...] = ()  # none of these three: the smoke test
    batches: tuple[int, ...] = ()
    threads: tuple[int, ...] = ()
    engine: str = LIBRARY  # or a program of llama.cpp's, "NAME" or "NAME=PATH"

    @property
    def is_smoke(self) -> bool:
        """Whether no sweep was asked for."""
        return not (self.depths or self.batches or self.threads)


DEFAULT_SETTINGS = BenchSettings()


def bench(
    text: str,
    *,
    settings: BenchSettings = DEFAULT_SETTINGS,
    save: bool = True,
    progress: Progress | None = None,
) -> BenchAnswer:
    """Measures a local GGUF in llama.cpp, in a child process, and keeps the run for later estimates."""
    opened = open_model(text)
    if opened.path is None:
        raise BenchError(
            f"{opened.name} is not a GGUF file on this machine ({opened.source}); download it, then bench the file, "
            "or add --synthetic"
        )
    if settings.engine == LIBRARY:
        require_engine()
    # Rates are measured anew each time: three seconds, and those of a busier hour would mislead for good.
    machine = inspect(measure=True, progress=stretch(progress, 0.0, RATES_SHARE))
    model = described_models(opened)[0]
    expected = expectation(model, machine, settings.n_gpu_layers)
    run = run_bench(model, opened.path, machine, settings, stretch(progress, RATES_SHARE, 1.0))
    if save:
        save_run(run, bench_folder())
    return BenchAnswer(run=run, predicted=expected.of_all(run.measurements) if expected else {})


def run_bench(
    model: DescribedModel,
    path: Path,
    machine: Machine,
    settings: BenchSettings,
    progress: Progress | None,
) -> BenchRun:
    """One run of the engine, with what later estimates need to know of the model beside it."""
    name, _, given = settings.engine.partition("=")
    if name not in ENGINES:
        raise BenchError(f"there is no engine {name[:40]!r}; choose one of {', '.join(ENGINES)}")
    n_context_tokens = model.network.context_tokens or LONG_DEPTH
    request = bench_request(path, machine, settings, n_context_tokens if name == LIBRARY else None)
    subject = bench_subject(model, machine_fingerprint(machine), machine.name)
    if name == LIBRARY:
        found = bench_llama_cpp(request, subject, progress=progress)
    else:
        program = find_program(name, given or None)
        run = bench_llama_bench if name == llama_bench_program.PROGRAM else bench_llama_server
        found = run(request, subject, program=program, progress=progress)
    return with_operators(found, model, machine)


def bench_request(
    path: Path, machine: Machine, settings: BenchSettings, n_context_tokens: int | None = None
) -> BenchRequest:
    """The question to the engine, with its own number of threads where none is given.

    Without a sweep it is the smoke test: beside pp512 and tg128, one depth within the context that the model was
    trained for, and one point of several sequences at once.
    """
    cores = default_threads(machine.cpu) if machine.cpu else None
    smoke = settings.is_smoke and n_context_tokens is not None
    return BenchRequest(
        model_path=path,
        n_threads=settings.n_threads or cores,
        budget_s=settings.budget_s,
        n_gpu_layers=settings.n_gpu_layers,
        depths=settings.depths or (0,),
        batches=SMOKE_BATCHES if smoke else settings.batches,
        threads=settings.threads,
        long_depth=_long_depth(n_context_tokens) if smoke else None,
    )


def _long_depth(n_context_tokens: int | None) -> int | None:
    """A long depth that leaves room for what is generated behind it; None where the model's context is short."""
    if n_context_tokens is None or n_context_tokens <= 2 * BENCH_CONTEXT:
        return None
    return min(LONG_DEPTH, n_context_tokens - BENCH_CONTEXT)


def bench_subject(model: DescribedModel, fingerprint: str, machine_name: str) -> BenchSubject:
    """What the run is filed under."""
    return BenchSubject(
        model_name=model.name,
        model_fingerprint=model.fingerprint or "",
        quantization=model.storage.label,
        machine_fingerprint=fingerprint,
        machine_name=machine_name,
        read_bytes_per_token=model.storage.read_bytes_per_token,
        matmul_parameters_per_token=model.matmul_parameters_per_token,
        is_mixture=model.network.is_mixture_of_experts(),
    )


def expectation(model: DescribedModel, machine: Machine, n_gpu_layers: int) -> Expectation | None:
    """What is expected before measuring; None where a model that fits the GPU is to be measured beside it."""
    facts, _ = speed_facts(machine)
    row = fit_row(model, machine, LlamaCppFlags(n_context_tokens=BENCH_CONTEXT), facts)
    if n_gpu_layers == 0 and row.placement.split.n_gpu_layers:
        return None
    return Expectation(model=model, placement=row.placement, machine=machine, facts=facts)
