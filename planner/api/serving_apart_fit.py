"""Prompts on GPUs of their own: do both kinds of workers start, and how fast do they answer together."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from hardware.interconnect import NetworkLink
from hardware.spec import Basis, Machine
from planner.api.models import open_model
from planner.api.serving_facts import serving_facts
from planner.api.serving_fit import check_split, loaded_from, model_as_served
from planner.api.serving_machines import ServingMachines, serving_machines
from planner.api.serving_speeds import REQUESTS, most_at_once, serving_deployment
from planner.engines.sglang.command import launch_command
from planner.engines.sglang.settings import SglangSettings
from planner.engines.vllm.command import serve_command
from planner.engines.vllm.settings import VllmSettings
from planner.errors import MissingFactError
from planner.estimate.served.answer import USUAL_LOAD, ServingEngine, ServingLoad
from planner.estimate.served.apart_answer import ApartAnswer, ApartSpeed, ApartWorkers, Role
from planner.estimate.served.model import ServedMemory, ServedModel
from planner.estimate.served.sglang_memory import sglang_memory
from planner.estimate.served.vllm_memory import vllm_memory
from planner.estimate.serving_speed.apart import Apart, ApartTimes, Workers, apart_times
from planner.estimate.serving_speed.deployment import Deployment
from planner.estimate.serving_speed.served_latency import interval, kind_apart
from planner.estimate.term import Term
from planner.progress import Progress

_VLLM_ROLE = ("--kv-transfer-config", '{"kv_connector": "NixlConnector", "kv_role": "kv_both"}')
Started = Callable[[Workers], tuple[ServedMemory, tuple[str, ...]]]


def fit_apart(
    text: str,
    settings: VllmSettings | SglangSettings,
    *,
    prefill: Workers,
    decode: Workers,
    on: str | Machine | None = None,
    context: int | None = None,
    load: ServingLoad = USUAL_LOAD,
    network: NetworkLink | None = None,
    assume: Sequence[str] = (),
    progress: Progress | None = None,
) -> ApartAnswer:
    """Whether workers that read and workers that decode start, and their times from one request on.

    Raises MissingFactError where the machines have too few GPUs, or the model cannot be split so.
    """
    machines, opened = serving_machines(on, network), open_model(text, assume, progress)
    engine: ServingEngine = "vllm" if isinstance(settings, VllmSettings) else "sglang"
    model, notes = model_as_served(
        opened, settings.quantization if isinstance(settings, VllmSettings) else None
    )
    for workers in (prefill, decode):
        check_split(model, workers.ranks, machines)
    n_gpus = sum(workers.count * workers.ranks.n_devices for workers in (prefill, decode))
    if n_gpus > machines.n_gpus:
        raise MissingFactError(
            f"these workers take {n_gpus} GPUs, {machines.name} has {machines.n_gpus}; describe more with --on"
        )

    def workers_of(role: Role, workers: Workers) -> ApartWorkers:
        memory, command = _started(model, settings, machines, workers, context, loaded_from(opened))
        told = _VLLM_ROLE if engine == "vllm" else ("--disaggregation-mode", role)
        return ApartWorkers(role=role, workers=workers, memory=memory, command=(*command, *told))

    answer = ApartAnswer(
        machine=machines.machine, n_machines=machines.count, opened=opened, engine=engine,
        version=str(settings.version), gpu=machines.gpu, n_gpus=n_gpus, layout_label=model.layout.storage.label,
        prefill=workers_of("prefill", prefill), decode=workers_of("decode", decode), load=load,
        notes=(*opened.notes, *notes),
    )  # fmt: skip
    if not answer.starts:
        return answer
    try:
        return replace(answer, speeds=_speeds(answer, model, machines, settings.kv_cache_dtype))
    except MissingFactError as error:
        return replace(answer, speed_missing=str(error))


def _started(
    model: ServedModel,
    settings: VllmSettings | SglangSettings,
    machines: ServingMachines,
    workers: Workers,
    context: int | None,
    repository: str,
) -> tuple[ServedMemory, tuple[str, ...]]:
    if isinstance(settings, VllmSettings):
        asked = replace(settings, parallel=workers.ranks, max_model_len=context or settings.max_model_len)
        return vllm_memory(model, asked, machines.gpu), serve_command(repository, asked)
    told = replace(settings, parallel=workers.ranks, context_length=context or settings.context_length)
    return sglang_memory(model, told, machines.gpu), launch_command(repository, told)


def _speeds(
    answer: ApartAnswer, model: ServedModel, machines: ServingMachines, cache_type: str
) -> tuple[ApartSpeed, ...]:
    """Times at 1, 2, 4 … requests, as many as the decoding workers' pools hold."""
    fabric = machines.fabric(answer.n_gpus)

    def worker(one: ApartWorkers) -> Deployment:
        found = serving_deployment(
            model,
            machines,
            answer.engine,
            one.workers.ranks,
            cache_type,
            answer.load,
            0,
            one.memory.n_batched_tokens,
        )
        return replace(found, fabric=fabric)

    prefill, decode = worker(answer.prefill), worker(answer.decode)
    n_prefill, n_decode = answer.prefill.workers.count, answer.decode.workers.count
    most = n_decode * most_at_once(answer.load, answer.decode.memory.capacity.n_tokens)
    ones = [
        Apart(
            prefill=replace(prefill, n_requests=max(1.0, n / n_prefill)),
            decode=replace(decode, n_requests=max(1.0, n / n_decode)),
            n_prefill=n_prefill, n_decode=n_decode, n_requests=n,
        )
        for n in REQUESTS
        if n <= most
    ]  # fmt: skip
    facts = serving_facts()
    times = apart_times(ones, facts.rates)
    return tuple(
        ApartSpeed(
            n_requests=round(one.n_requests),
            ttft_s=interval(float(times.ttft_s[i]), "ttft", kind_apart(one), facts.spreads),
            tpot_s=interval(float(times.tpot_s[i]), "tpot", kind_apart(one), facts.spreads),
            terms=_terms(times, i, answer.load),
        )
        for i, one in enumerate(ones)
    )


def _terms(times: ApartTimes, i: int, load: ServingLoad) -> tuple[Term, ...]:
    parts = (
        ("host", times.host_s, "fitted to measured engines"),
        ("reading the prompt", times.prompt_s, f"{load.n_prompt_tokens:,} tokens on one prefill worker"),
        ("moving its cache", times.moving_s, "a rank's part over its link, or its share of the network"),
        ("steps before the first token is sent", times.first_steps_s, "fitted to measured engines"),
        ("waiting for other prompts", times.queue_s, "where they come faster than they are read"),
    )
    return tuple(
        Term(name=name, value=float(values[i]), unit="s", basis=Basis.DERIVED, source=source)
        for name, values, source in parts
    )
