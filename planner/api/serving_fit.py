"""Does it start in vLLM or SGLang: one model on the GPUs of a machine, for each split and length asked."""

from collections.abc import Sequence
from dataclasses import replace

from hardware.spec import Gpu, Machine
from hardware.units import MIB
from planner.api.machines import machine_for
from planner.api.models import open_model
from planner.api.serving_speeds import serving_speeds
from planner.engines.sglang.command import launch_command
from planner.engines.sglang.settings import LATEST as LATEST_SGLANG
from planner.engines.sglang.settings import SglangSettings
from planner.engines.sharding import Parallel, split_problem
from planner.engines.vllm.command import serve_command
from planner.engines.vllm.settings import VllmSettings
from planner.errors import MissingFactError
from planner.estimate.served_model import ServedModel, ServingGpu, served_model, visible_bytes
from planner.estimate.serving_answer import USUAL_LOAD, ServingAnswer, ServingLoad, ServingRow
from planner.estimate.sglang_memory import sglang_memory
from planner.estimate.vllm_memory import vllm_memory
from planner.model.formats.layout import lay_out
from planner.model.formats.online import online_plan
from planner.model.opened_model import OpenedModel
from planner.progress import Progress
from planner.readers.catalogue_model import CATALOGUE
from profiles.loader import model_entry

# A described card is taken as empty but for the process that asks: its CUDA context.
CONTEXT_BYTES = 500 * MIB


def fit_vllm(
    text: str,
    settings: VllmSettings,
    *,
    on: str | Machine | None = None,
    contexts: Sequence[int] = (),
    splits: Sequence[Parallel] = (),
    load: ServingLoad = USUAL_LOAD,
    assume: Sequence[str] = (),
    progress: Progress | None = None,
) -> ServingAnswer:
    """Whether vLLM starts with a model, for each split over the machine's GPUs and each longest request.

    Without `splits` the tensor-parallel sizes that divide the model are tried: 1, 2, 4 … up to the GPUs there are.
    Raises MissingFactError on a machine without GPUs of known memory, or where the weights' storage is unknown.
    """
    machine, opened, gpu, n_gpus = _opened(text, on, assume, progress)
    model, notes = _model(opened, settings.quantization)
    rows = []
    for ranks in splits or _splits(model, n_gpus):
        _check(model, ranks, n_gpus, machine)
        for length in contexts or (None,):
            asked = replace(settings, parallel=ranks, max_model_len=length or settings.max_model_len)
            found = vllm_memory(model, asked, gpu)
            rows.append(
                ServingRow(parallel=ranks, memory=found, command=serve_command(_repository(opened), asked))
            )
    answer = ServingAnswer(
        machine=machine, opened=opened, engine="vllm", version=str(settings.version), gpu=gpu, n_gpus=n_gpus,
        layout_label=model.layout.storage.label, rows=tuple(rows), notes=(*opened.notes, *notes), load=load,
    )  # fmt: skip
    return _timed(answer, model, settings.kv_cache_dtype)


def fit_sglang(
    text: str,
    settings: SglangSettings,
    *,
    on: str | Machine | None = None,
    contexts: Sequence[int] = (),
    splits: Sequence[Parallel] = (),
    load: ServingLoad = USUAL_LOAD,
    assume: Sequence[str] = (),
    progress: Progress | None = None,
) -> ServingAnswer:
    """The same for SGLang, which needs no room for a whole request: it starts with any pool of tokens."""
    machine, opened, gpu, n_gpus = _opened(text, on, assume, progress)
    model, notes = _model(opened, None)
    if settings.version > LATEST_SGLANG:
        notes = (
            *notes,
            f"defaults of SGLang {LATEST_SGLANG}; later versions may size the pool after graph capture",
        )
    rows = []
    for ranks in splits or _splits(model, n_gpus):
        _check(model, ranks, n_gpus, machine)
        for length in contexts or (None,):
            asked = replace(settings, parallel=ranks, context_length=length or settings.context_length)
            found = sglang_memory(model, asked, gpu)
            rows.append(
                ServingRow(parallel=ranks, memory=found, command=launch_command(_repository(opened), asked))
            )
    answer = ServingAnswer(
        machine=machine, opened=opened, engine="sglang", version=str(settings.version), gpu=gpu, n_gpus=n_gpus,
        layout_label=model.layout.storage.label, rows=tuple(rows), notes=(*opened.notes, *notes), load=load,
    )  # fmt: skip
    return _timed(answer, model, settings.kv_cache_dtype)


def _timed(answer: ServingAnswer, model: ServedModel, cache_type: str) -> ServingAnswer:
    """The answer with the speeds of its best row, or with what is missing for them."""
    best = answer.best
    if not best.memory.starts:
        return answer
    try:
        speeds = serving_speeds(
            model, answer.machine, answer.engine, best.parallel, cache_type, answer.load,
            best.memory.capacity.n_tokens,
        )  # fmt: skip
    except MissingFactError as error:
        return replace(answer, speed_missing=str(error))
    return replace(answer, speeds=speeds)


def _opened(
    text: str, on: str | Machine | None, assume: Sequence[str], progress: Progress | None
) -> tuple[Machine, OpenedModel, ServingGpu, int]:
    machine = machine_for(on)
    gpu, n_gpus = _serving_gpu(machine)
    return machine, open_model(text, assume, progress), gpu, n_gpus


def _serving_gpu(machine: Machine) -> tuple[ServingGpu, int]:
    """The smallest of the machine's GPUs, which decides for all ranks, and how many there are."""
    known = [gpu for gpu in machine.gpus if gpu.memory_bytes is not None]
    if not known:
        raise MissingFactError(
            f"{machine.name} has no GPU whose memory is known; describe one with --on, such as "
            '--on "2x H100 SXM"'
        )
    smallest = min(known, key=_free_bytes)
    total = visible_bytes(smallest) or 0
    name = smallest.accelerator.name if smallest.accelerator else smallest.name
    return ServingGpu(name=name, total_bytes=total, free_bytes=_free_bytes(smallest)), len(known)


def _free_bytes(gpu: Gpu) -> int:
    return gpu.free_bytes if gpu.free_bytes is not None else (visible_bytes(gpu) or 0) - CONTEXT_BYTES


def _model(opened: OpenedModel, quantization: str | None) -> tuple[ServedModel, tuple[str, ...]]:
    model = served_model(opened)
    if quantization is None:
        return model, model.notes
    if model.is_quantized:
        raise MissingFactError(
            f"{opened.name} is published in {model.layout.storage.label} already; leave --quantization out"
        )
    layout = lay_out(opened.network, online_plan(quantization, model.layout.storage.label))
    note = (
        f"quantized while loading: before 0.12 the whole 16-bit weights lie on the GPU first ({quantization})"
    )
    return served_model(opened, layout), (*model.notes, note)


def _splits(model: ServedModel, n_gpus: int) -> tuple[Parallel, ...]:
    sizes = [n for n in (1, 2, 4, 8, 16, 32) if n <= n_gpus]
    found = [Parallel(tensor=n) for n in sizes if split_problem(model.network, Parallel(tensor=n)) is None]
    return tuple(found) or (Parallel(),)


def _check(model: ServedModel, ranks: Parallel, n_gpus: int, machine: Machine) -> None:
    if ranks.n_devices > n_gpus:
        raise MissingFactError(
            f"the split asked for takes {ranks.n_devices} GPUs, {machine.name} has {n_gpus}; describe more with --on"
        )
    problem = split_problem(model.network, ranks)
    if problem is not None:
        raise MissingFactError(f"{model.name} cannot be split so: {problem}")


def _repository(opened: OpenedModel) -> str:
    """What the engine is to load: a catalogue entry's repository, else what was asked for."""
    if opened.source == CATALOGUE:
        return str(model_entry(opened.reference)["hub_id"] or opened.reference)
    return opened.reference.removeprefix("hf:")
