"""Does it start in vLLM or SGLang: one model on the GPUs of a machine, for each split and length asked."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from hardware.interconnect import NetworkLink
from hardware.spec import Machine
from planner.api.models import open_model
from planner.api.serving_machines import ServingMachines, serving_machines
from planner.api.serving_speeds import prefix_reuse, serving_speeds
from planner.engines.sglang.command import launch_command
from planner.engines.sglang.prefix_reuse import prefix_page_tokens
from planner.engines.sglang.settings import LATEST as LATEST_SGLANG
from planner.engines.sglang.settings import SglangSettings
from planner.engines.sharding import Parallel, split_problem
from planner.engines.vllm.command import serve_command
from planner.engines.vllm.prefix_reuse import prefix_block_tokens as vllm_prefix_block
from planner.engines.vllm.settings import VllmSettings
from planner.errors import MissingFactError
from planner.estimate.served.answer import USUAL_LOAD, ServingAnswer, ServingLoad, ServingRow
from planner.estimate.served.model import ServedModel, served_model
from planner.estimate.served.sglang_memory import sglang_memory
from planner.estimate.served.vllm_memory import vllm_memory
from planner.model.formats.layout import lay_out
from planner.model.formats.online import online_plan
from planner.model.opened_model import OpenedModel
from planner.progress import Progress
from planner.readers.catalogue_model import CATALOGUE
from profiles.loader import model_entry


def fit_vllm(
    text: str,
    settings: VllmSettings,
    *,
    on: str | Machine | None = None,
    contexts: Sequence[int] = (),
    splits: Sequence[Parallel] = (),
    load: ServingLoad = USUAL_LOAD,
    network: NetworkLink | None = None,
    assume: Sequence[str] = (),
    progress: Progress | None = None,
) -> ServingAnswer:
    """Whether vLLM starts with a model, for each split over the machine's GPUs and each longest request.

    Without `splits` the tensor-parallel sizes that divide the model are tried: 1, 2, 4 … up to the GPUs there are.
    Raises MissingFactError on a machine without GPUs of known memory, or where the weights' storage is unknown.
    """
    machines, opened = serving_machines(on, network), open_model(text, assume, progress)
    model, notes = model_as_served(opened, settings.quantization)
    rows = []
    for ranks in splits or _splits(model, machines):
        check_split(model, ranks, machines)
        for length in contexts or (None,):
            asked = replace(settings, parallel=ranks, max_model_len=length or settings.max_model_len)
            found = vllm_memory(model, asked, machines.gpu)
            rows.append(
                ServingRow(parallel=ranks, memory=found, command=serve_command(loaded_from(opened), asked))
            )
    answer = ServingAnswer(
        machine=machines.machine, n_machines=machines.count, opened=opened, engine="vllm", version=str(settings.version),
        gpu=machines.gpu, n_gpus=machines.n_gpus, layout_label=model.layout.storage.label, rows=tuple(rows), notes=(*opened.notes, *notes), load=load,
    )  # fmt: skip
    return _timed(
        answer, model, machines, settings.kv_cache_dtype, lambda: vllm_prefix_block(model.network, settings)
    )


def fit_sglang(
    text: str,
    settings: SglangSettings,
    *,
    on: str | Machine | None = None,
    contexts: Sequence[int] = (),
    splits: Sequence[Parallel] = (),
    load: ServingLoad = USUAL_LOAD,
    network: NetworkLink | None = None,
    assume: Sequence[str] = (),
    progress: Progress | None = None,
) -> ServingAnswer:
    """The same for SGLang, which needs no room for a whole request: it starts with any pool of tokens."""
    machines, opened = serving_machines(on, network), open_model(text, assume, progress)
    model, notes = model_as_served(opened, None)
    if settings.version > LATEST_SGLANG:
        notes = (
            *notes,
            f"defaults of SGLang {LATEST_SGLANG}; later versions may size the pool after graph capture",
        )
    rows = []
    for ranks in splits or _splits(model, machines):
        check_split(model, ranks, machines)
        for length in contexts or (None,):
            asked = replace(settings, parallel=ranks, context_length=length or settings.context_length)
            found = sglang_memory(model, asked, machines.gpu)
            rows.append(
                ServingRow(parallel=ranks, memory=found, command=launch_command(loaded_from(opened), asked))
            )
    answer = ServingAnswer(
        machine=machines.machine, n_machines=machines.count, opened=opened, engine="sglang", version=str(settings.version),
        gpu=machines.gpu, n_gpus=machines.n_gpus, layout_label=model.layout.storage.label, rows=tuple(rows), notes=(*opened.notes, *notes), load=load,
    )  # fmt: skip
    return _timed(answer, model, machines, settings.kv_cache_dtype, lambda: prefix_page_tokens(settings))


def _timed(
    answer: ServingAnswer,
    model: ServedModel,
    machines: ServingMachines,
    cache_type: str,
    block_tokens: Callable[[], int],
) -> ServingAnswer:
    """The answer with the speeds of its best row, or with what is missing for them; prefixes are kept in such blocks."""
    best = answer.best
    if answer.load.n_prefix_tokens:
        block = block_tokens()  # raises where the engine keeps none
    if not best.memory.starts:
        return answer
    asked = (model, machines, answer.engine, best.parallel, cache_type, answer.load)
    try:
        if not answer.load.n_prefix_tokens:
            return replace(answer, speeds=serving_speeds(*asked, best.memory))
        prefix, speeds = prefix_reuse(*asked, best.memory, block)
    except MissingFactError as error:
        return replace(answer, speed_missing=str(error))
    return replace(answer, prefix=prefix, speeds=speeds)


def model_as_served(opened: OpenedModel, quantization: str | None) -> tuple[ServedModel, tuple[str, ...]]:
    """The model at its published types, or quantized while loading, and what must be said of that."""
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


def _splits(model: ServedModel, machines: ServingMachines) -> tuple[Parallel, ...]:
    """Tensor-parallel sizes within a machine, and over several a pipeline of them."""
    n = machines.gpus_per_machine
    sizes = [size for size in (1, 2, 4, 8, 16, 32) if size <= n]
    tried = [Parallel(tensor=size) for size in sizes]
    tried += [Parallel(tensor=n, pipeline=stages) for stages in (2, 4, 8) if stages <= machines.count]
    found = [ranks for ranks in tried if split_problem(model.network, ranks) is None]
    return tuple(found) or (Parallel(),)


def check_split(model: ServedModel, ranks: Parallel, machines: ServingMachines) -> None:
    """Raises MissingFactError where the machines have too few GPUs for a split, or the model cannot be split so."""
    if ranks.n_devices > machines.n_gpus:
        raise MissingFactError(
            f"the split asked for takes {ranks.n_devices} GPUs, {machines.name} has {machines.n_gpus}; describe more "
            "with --on"
        )
    problem = split_problem(model.network, ranks)
    if problem is not None:
        raise MissingFactError(f"{model.name} cannot be split so: {problem}")


def loaded_from(opened: OpenedModel) -> str:
    """What the engine is to load: a catalogue entry's repository, else what was asked for."""
    if opened.source == CATALOGUE:
        return str(model_entry(opened.reference)["hub_id"] or opened.reference)
    return opened.reference.removeprefix("hf:")
