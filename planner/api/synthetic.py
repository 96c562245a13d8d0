"""Benchmark a model that was never downloaded, by shallow files of its shape."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from hardware.inspect import machine_fingerprint
from hardware.spec import Machine
from hardware.store import data_folder
from hardware.units import GIB, format_bytes
from planner.api.benchmarks import (
    RATES_SHARE,
    BenchAnswer,
    BenchSettings,
    bench_request,
    bench_subject,
    expectation,
)
from planner.api.gguf_headers import model_header
from planner.api.inspecting import inspect
from planner.api.machines import bench_folder
from planner.api.models import described_models, open_model
from planner.bench.llama_cpp import require_engine
from planner.bench.store import save_run
from planner.bench.synthetic import bench_synthetic as run_synthetic
from planner.bench.synthetic_plan import SyntheticPlan, plan_synthetic
from planner.errors import BenchError
from planner.estimate.described_model import DescribedModel
from planner.progress import Progress, stretch

DEFAULT_DISK_BYTES = 4 * GIB
DEFAULT_QUANT = "Q4_K_M"
_LEFT_BYTES = GIB  # of disk and of memory, for everything else
_COPIES_IN_MEMORY = 2  # the mapped file, and its weights as the engine arranges them


@dataclass(frozen=True, kw_only=True)
class SyntheticQuestion:
    """What is about to be written and held, to be agreed to."""

    model: DescribedModel
    plan: SyntheticPlan
    machine: Machine
    folder: Path

    @property
    def disk_bytes(self) -> int:
        """Bytes of disk that the files take while they are there."""
        return self.plan.n_bytes

    @property
    def memory_bytes(self) -> int:
        """Bytes of memory that the engine holds at most, caches apart."""
        return _COPIES_IN_MEMORY * self.plan.n_bytes

    @property
    def summary(self) -> str:
        """One sentence of what will be done."""
        counts = " and ".join(str(len(file.layers)) for file in self.plan.files)
        return (
            f"{self.model.name} {self.model.storage.label}: files of {counts} of {self.model.network.n_layers} layers "
            f"with random weights, {format_bytes(self.disk_bytes)} in {self.folder} while they are loaded, and up to "
            f"{format_bytes(self.memory_bytes)} of memory"
        )


def plan_synthetic_bench(
    text: str, *, quant: str | None = None, disk_limit_bytes: int = DEFAULT_DISK_BYTES
) -> SyntheticQuestion:
    """What a synthetic benchmark would write; BenchError where disk or memory would not hold it."""
    require_engine()
    opened = open_model(text)
    if quant is None and opened.storage is None and opened.native_preset is None:
        quant = DEFAULT_QUANT
    model = described_models(opened, (quant,) if quant else ())[0]
    header = model_header(opened, model)
    plan = plan_synthetic(model, header.metadata, header.tensors, disk_limit_bytes=disk_limit_bytes)
    question = SyntheticQuestion(
        model=model, plan=plan, machine=inspect(), folder=data_folder() / "synthetic"
    )
    _check_room(question)
    return question


def _check_room(question: SyntheticQuestion) -> None:
    place = next(folder for folder in (question.folder, *question.folder.parents) if folder.is_dir())
    free = shutil.disk_usage(place).free
    if question.disk_bytes + _LEFT_BYTES > free:
        raise BenchError(
            f"the shallow files of {question.model.name} take {format_bytes(question.disk_bytes)} of disk and "
            f"{format_bytes(free)} are free in {place}; free some, or set PLANNER_DATA_DIR to another disk"
        )
    memory = question.machine.memory
    if memory is not None and question.memory_bytes + _LEFT_BYTES > memory.available_bytes:
        raise BenchError(
            f"the shallow files of {question.model.name} take up to {format_bytes(question.memory_bytes)} of memory "
            f"and {format_bytes(memory.available_bytes)} are available; close other programs, allow less with "
            "--disk, or choose a smaller quantization with --quant"
        )


def bench_synthetic(
    question: SyntheticQuestion,
    *,
    settings: BenchSettings,
    save: bool = True,
    progress: Progress | None = None,
) -> BenchAnswer:
    """Writes the files, measures them, extrapolates, and keeps the run, marked as synthetic."""
    machine = inspect(measure=True, progress=stretch(progress, 0.0, RATES_SHARE))
    model = question.model
    expected = expectation(model, machine, settings.n_gpu_layers)
    run = run_synthetic(
        model,
        question.plan,
        bench_request(Path(), machine, settings),
        bench_subject(model, machine_fingerprint(machine), machine.name),
        folder=question.folder,
        cache_bytes=machine.cpu.cache_l3_bytes if machine.cpu else None,
        progress=stretch(progress, RATES_SHARE, 1.0),
    )
    if save:
        save_run(run, bench_folder())
    return BenchAnswer(run=run, predicted=expected.of_all(run.measurements) if expected else {})
