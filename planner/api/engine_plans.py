"""The engine asked for the same placements that we predict: ours and its own answer side by side."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from hardware.spec import Gpu
from planner.api.fitting import FitAnswer
from planner.api.gguf_headers import model_header
from planner.bench.engine_fit import engine_fit
from planner.bench.llama_cpp import require_engine
from planner.bench.plan_question import PlanQuestion, PretendedGpu, cpu_moe_overrides
from planner.bench.planning_file import write_planning_file
from planner.bench.referee import Referee
from planner.engines.llama_cpp import Split
from planner.errors import BenchError
from planner.estimate.described_model import DescribedModel
from planner.estimate.engine_comparison import EngineFit, EngineRow, compare
from planner.estimate.engine_plan import EngineFailure, EnginePlan
from planner.estimate.fit import FitRow
from planner.estimate.placement import Placement
from planner.model.opened_model import OpenedModel
from planner.progress import Progress
from planner.readers.gguf.file import split_part_names

_DECISION_STARTS = 0.5  # of the progress display; --fit takes as long as all plans, or much longer
_BACKENDS = {"cuda": "CUDA", "rocm": "ROCm", "vulkan": "Vulkan", "metal": "Metal"}


@dataclass(frozen=True, kw_only=True)
class ExactAnswer:
    """The engine's plan for every row of a fit, and what its own --fit chooses for the first."""

    rows: tuple[EngineRow, ...]
    decision: EngineFit | None  # None on a machine without GPUs, where there is nothing to choose


def exact(answer: FitAnswer, *, progress: Progress | None = None) -> ExactAnswer:
    """llama.cpp's own plan for every row of a fit, beside ours; BenchError when there is no way to ask."""
    require_engine()
    rows: list[EngineRow] = []
    with tempfile.TemporaryDirectory(prefix="planner-plan-") as folder, Referee() as referee:
        files: dict[str, Path] = {}
        for index, row in enumerate(answer.rows):
            if progress is not None:
                progress(_DECISION_STARTS * index / len(answer.rows), "asking llama.cpp")
            label = row.model.storage.label
            if label not in files:
                files[label] = model_file(answer.opened, row.model, Path(folder))
            rows.append(compare(row, _answer(referee, row, files[label])))
        decision = None
        first = answer.rows[0]
        if any(load.device.gpu is not None for load in first.placement.loads):
            if progress is not None:
                progress(_DECISION_STARTS, "llama.cpp chooses for itself")
            decision = _decision(first, files[first.model.storage.label], here=not answer.machine.described)
    return ExactAnswer(rows=tuple(rows), decision=decision)


def _answer(referee: Referee, row: FitRow, path: Path) -> EnginePlan | EngineFailure:
    try:
        question = question_for(row, path)
    except BenchError as error:  # a split that the engine cannot plan for; the other rows may be plain
        return EngineFailure(problem=str(error))
    return referee.ask(question)


def _decision(row: FitRow, path: Path, *, here: bool) -> EngineFit:
    # Its own choice, so the split of the row plays no part.
    free = replace(
        row, placement=replace(row.placement, split=Split(n_gpu_layers=row.placement.n_layers + 1))
    )
    return engine_fit(question_for(free, path), here=here)


def model_file(opened: OpenedModel, model: DescribedModel, folder: Path) -> Path:
    """A file to plan with: the GGUF itself when it is here, else one with its keys and tensors and no weights."""
    if not model.storage.predicted and opened.path is not None:
        first = (split_part_names(opened.path.name) or (opened.path.name,))[0]
        return opened.path.with_name(first)  # from any part of a split model, the engine wants the first
    header = model_header(opened, model)
    return write_planning_file(
        folder / f"{len(list(folder.iterdir()))}.gguf",
        header.metadata,
        header.tensors,
        n_vocabulary=header.n_vocabulary,
    )


def question_for(row: FitRow, path: Path) -> PlanQuestion:
    """The same devices, flags and split, in the engine's terms."""
    placement = row.placement
    flags, split = placement.flags, placement.split
    gpus = tuple(_pretended(placement, index) for index in range(len(_gpu_loads(placement))))
    overrides = tuple((override.pattern, _buffer_name(override.device, gpus)) for override in split.overrides)
    if split.n_cpu_moe:
        overrides += cpu_moe_overrides(split.n_cpu_moe)
    return PlanQuestion(
        model_path=path,
        n_context_tokens=flags.n_context_tokens,
        gpus=gpus,
        n_batch=flags.n_batch,
        n_ubatch=flags.n_ubatch,
        n_sequences=flags.n_sequences,
        n_outputs=flags.n_outputs,
        unified_cache=flags.unified_cache,
        k_type=flags.k_type,
        v_type=flags.v_type,
        flash_attention=flags.flash_attention,
        swa_full=flags.swa_full,
        n_rollback_states=flags.rollback_sequences,
        n_gpu_layers=split.n_gpu_layers,
        split_mode=split.mode,
        tensor_split=split.tensor_split or (),
        main_gpu=split.main_gpu,
        tensor_overrides=overrides,
        kv_offload=flags.kv_offload,
        op_offload=flags.op_offload,
        use_mmap=flags.mmap and not any(gpu.integrated and gpu.backend != "Metal" for gpu in gpus),
        use_extra_buffers=flags.repack,
    )


def _gpu_loads(placement: Placement) -> tuple[Gpu, ...]:
    return tuple(load.device.gpu for load in placement.loads if load.device.gpu is not None)


def _pretended(placement: Placement, index: int) -> PretendedGpu:
    loads = [load for load in placement.loads if load.device.gpu is not None]
    device, gpu = loads[index].device, loads[index].device.gpu
    assert gpu is not None
    backend = _BACKENDS.get(gpu.backend)
    if backend is None:
        raise BenchError(f"llama.cpp cannot be shown a pretended {gpu.backend} GPU yet; leave out --exact")
    return PretendedGpu(
        description=gpu.name,
        total_bytes=max(device.capacity_bytes, gpu.memory_bytes or 0),
        free_bytes=device.capacity_bytes,
        backend=backend,
        # Metal calls its GPUs discrete although they share memory (ggml-metal.cpp).
        integrated=device.shares_ram and backend != "Metal",
    )


def _buffer_name(device: str, gpus: tuple[PretendedGpu, ...]) -> str:
    """Our name of a device in the engine's words: "GPU 1" is CUDA1."""
    if not device.startswith("GPU "):
        return device
    prefix = {"Metal": "MTL"}.get(gpus[0].backend, gpus[0].backend)
    return f"{prefix}{device.removeprefix('GPU ')}"
