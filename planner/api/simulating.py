"""A deployment under a workload, step by step: what requests see, how full it is, and what it carries."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, get_args

from hardware.spec import Basis, Machine
from hardware.units import MEGA, SECONDS_PER_HOUR
from planner.api.machines import machine_for
from planner.api.models import open_model
from planner.api.replica_layouts import Checkpoint, NoReplica, TriedReplica, tried_replica
from planner.api.serving_facts import serving_facts
from planner.api.serving_fit import model_as_served
from planner.api.serving_machines import ServingMachines, serving_machines
from planner.api.slot_replica import SlotReplica, slot_replica
from planner.api.taken_load import taken_load
from planner.engines.llama_cpp import LlamaCppFlags
from planner.errors import MissingFactError
from planner.estimate.serving_speed.step_timer import Bound
from planner.estimate.term import Interval
from planner.model.opened_model import OpenedModel
from planner.prices.machine_hour import figures_of
from planner.progress import Progress
from planner.simulate.result import SimulationResult
from planner.sizing.closed_form import means_of, most_requests_per_s, most_users
from planner.sizing.demand import demand_of
from planner.sizing.option import Seen, split_words
from planner.sizing.replica import BUSIEST, Capacity, Replica, capacity, percentile_s, saturation
from planner.sizing.sampled_load import SampledLoad, sampled_load
from planner.sizing.simulated import PERCENTILES, SeenTime, SimulationAnswer, SimulationQuestion
from planner.sizing.splits import splits
from planner.workload.workload import Measure, Objective, Workload

BOUNDS: Final = get_args(Bound)
_SLOT_STEP: Final = 256
_LEAST_S: Final = 1e-9


DEFAULT_QUESTION: Final = SimulationQuestion()


@dataclass(frozen=True, kw_only=True)
class _Deployed:
    """A replica with everything that is said of it."""

    model: str
    storage: str
    version: str
    layout: str
    command: tuple[str, ...]
    replica: Callable[[Bound], Replica]
    n_gpus: int  # 0: none
    is_measured: bool = True
    notes: tuple[str, ...] = ()


def simulate(
    text: str,
    workload: Workload,
    question: SimulationQuestion = DEFAULT_QUESTION,
    *,
    on: str | Machine | None = None,
    assume: Sequence[str] = (),
    progress: Progress | None = None,
) -> SimulationAnswer:
    """Simulates a model on a machine under a workload.

    Raises MissingFactError with the engine's reason where it does not start, or with what is not known.
    """
    opened = open_model(text, assume, progress)
    load, length, turned_away = taken_load(
        opened, sampled_load(workload, question.n_requests, question.seed), question.n_context_tokens
    )
    if question.engine == "llama.cpp":
        machine = machine_for(on)
        deployed = _of_llama_cpp(text, machine, question, length, assume)
    else:
        machines = serving_machines(on)
        machine = machines.machine
        deployed = _of_engine(opened, machines, question, load, length)
    deployed = replace(deployed, notes=(*turned_away, *deployed.notes))
    return _answer(deployed, machine, load, question, progress)


# Replicas


def _of_llama_cpp(
    text: str, machine: Machine, question: SimulationQuestion, length: int, assume: Sequence[str]
) -> _Deployed:
    each = -(-(question.n_context_tokens or length) // _SLOT_STEP) * _SLOT_STEP
    flags = LlamaCppFlags(
        n_context_tokens=each * question.n_slots,
        n_sequences=question.n_slots,
        unified_cache=question.unified_cache,
    )
    if question.limits.max_batched_tokens is not None:
        flags = replace(flags, n_batch=question.limits.max_batched_tokens)
    found: SlotReplica = slot_replica(text, machine, flags, quant=question.quant, assume=assume)

    def replica(bound: Bound) -> Replica:
        return Replica(policy=found.policy, timer=found.timer(bound))

    placement = found.row.placement
    shared = "sharing" if question.unified_cache else "each with"
    return _Deployed(
        model=found.opened.name,
        storage=found.row.model.storage.label,
        version="",
        layout=f"{question.n_slots} slots {shared} {flags.n_context_tokens if question.unified_cache else each:,} tokens",
        command=found.row.command,
        replica=replica,
        n_gpus=sum(1 for one in placement.loads if one.device.is_gpu and one.terms),
        notes=found.notes,
    )


def _of_engine(
    opened: OpenedModel,
    machines: ServingMachines,
    question: SimulationQuestion,
    load: SampledLoad,
    length: int,
) -> _Deployed:
    model, notes = model_as_served(opened, question.quantize)
    checkpoint = Checkpoint(opened=opened, model=model, quantization=question.quantize)
    means = means_of(load.requests, prefix_cache=True)
    tried = splits(model.network, machines.gpus_per_machine) if question.ranks is None else (question.ranks,)
    reasons = []
    for ranks in tried:
        try:
            found = tried_replica(
                checkpoint, question.engine, ranks, machines, means, length, question.limits,
                question.cache_type,
            )  # fmt: skip
        except NoReplica as no:
            reasons.append(f"{split_words(ranks)}: {no.reason}")
            continue
        return _served(found, notes)
    raise MissingFactError(
        f"{opened.name} on {machines.name} in {question.engine}: {'; '.join(reasons[-2:]) or 'no split divides it'}"
    )


def _served(found: TriedReplica, notes: tuple[str, ...]) -> _Deployed:
    is_measured = found.deployment.accelerator.architecture in serving_facts().rates.families
    if not is_measured:
        notes = (*notes, "nobody measured serving on such GPUs: speeds are what all others have in common")
    layout = found.layout
    return _Deployed(
        model=found.layout.checkpoint,
        storage=layout.storage,
        version=layout.engine_version,
        layout=layout.words,
        command=layout.command,
        replica=found.replica,
        n_gpus=layout.n_gpus,
        is_measured=is_measured,
        notes=notes,
    )


# What a run shows


def _answer(
    deployed: _Deployed,
    machine: Machine,
    load: SampledLoad,
    question: SimulationQuestion,
    progress: Progress | None,
) -> SimulationAnswer:
    workload = load.workload
    demand = demand_of(workload)
    wanted = demand.peak if question.at_peak else demand.average
    replicas = {bound: deployed.replica(bound) for bound in BOUNDS}
    parts = question.n_replicas * replicas["expected"].n_attention_replicas
    runs: dict[Bound, SimulationResult] = {}
    for number, bound in enumerate(BOUNDS):
        if progress is not None:
            progress(number / 5, f"{bound} times of the speed model")
        runs[bound] = load.serve(replicas[bound].policy, replicas[bound].timer, wanted / parts)
    if progress is not None:
        progress(3 / 5, "saturation")
    saturated = _saturation(replicas, load, question.n_replicas)
    if progress is not None:
        progress(4 / 5, "the largest load within the objectives")
    carried = _capacity(replicas["expected"], load, question.n_replicas, saturated)
    served = {bound: _served_only(run) for bound, run in runs.items()}
    expected = runs["expected"]
    rate = question.n_replicas * replicas["expected"].n_attention_replicas / max(expected.end_s, _LEAST_S)
    output_tokens_per_s = expected.n_output_tokens * rate
    power_w = _power_w(machine, deployed.n_gpus, expected.utilisation, question.n_replicas)
    return SimulationAnswer(
        model=deployed.model,
        storage=deployed.storage,
        machine=machine.name,
        engine=question.engine,
        engine_version=deployed.version,
        layout=deployed.layout,
        command=deployed.command,
        policy=replicas["expected"].policy,
        workload=workload,
        question=question,
        unit=load.unit,
        load=wanted,
        peak=demand.peak,
        times=_times(served, replicas),
        objectives=tuple(
            Seen(objective=one, seconds=_percentile(served, replicas, one)) for one in workload.objectives
        ),
        refused=_refused(expected),
        saturation=saturated,
        capacity=carried,
        utilisation=_interval({bound: run.utilisation for bound, run in runs.items()}),
        run=expected,
        output_tokens_per_s=output_tokens_per_s,
        prompt_tokens_per_s=sum(one.n_prompt_tokens for one in expected.requests) * rate,
        power_w=power_w,
        wh_per_mtok=None
        if power_w is None or not output_tokens_per_s
        else power_w / output_tokens_per_s * MEGA / SECONDS_PER_HOUR,
        is_measured=deployed.is_measured,
        notes=deployed.notes,
    )


def _served_only(run: SimulationResult) -> SimulationResult:
    return replace(run, requests=tuple(one for one in run.requests if one.rejected is None))


def _refused(run: SimulationResult) -> tuple[int, str] | None:
    reasons = [one.rejected for one in run.requests if one.rejected is not None]
    return (len(reasons), reasons[0]) if reasons else None


def _times(runs: dict[Bound, SimulationResult], replicas: dict[Bound, Replica]) -> tuple[SeenTime, ...]:
    found = []
    for measure in get_args(Measure):
        for percent in PERCENTILES:
            objective = Objective(measure=measure, quantile=percent / 100, limit_s=1.0)
            found.append(
                SeenTime(measure=measure, percent=percent, seconds=_percentile(runs, replicas, objective))
            )
    return tuple(found)


def _percentile(
    runs: dict[Bound, SimulationResult], replicas: dict[Bound, Replica], objective: Objective
) -> Interval:
    return _interval(
        {bound: percentile_s(runs[bound], objective, replicas[bound].first_token_s) for bound in BOUNDS}
    )


def _interval(by_bound: dict[Bound, float]) -> Interval:
    """The three runs in order; where chance turned them round, as wide as all of them."""
    values = [max(_LEAST_S, by_bound[bound]) for bound in BOUNDS]
    return Interval(
        low=min(values),
        expected=max(_LEAST_S, by_bound["expected"]),
        high=max(values),
        basis=Basis.DERIVED,
        source="simulated with the low, expected and high step times of the speed model",
    )


def _saturation(replicas: dict[Bound, Replica], load: SampledLoad, n_replicas: int) -> Interval | None:
    if load.unit == "users":
        return None
    return _interval(
        {
            bound: n_replicas * saturation(replica, load.serve, load.n_tasks_per_request)
            for bound, replica in replicas.items()
        }
    )


def _capacity(
    replica: Replica, load: SampledLoad, n_replicas: int, saturated: Interval | None
) -> Capacity | None:
    """What all replicas carry within the objectives."""
    objectives = load.workload.objectives
    if not objectives:
        return None
    means = means_of(load.requests, prefix_cache=replica.policy.prefix_cache)
    if saturated is None:
        most = most_users(replica.timer, replica.policy, means, objectives)
    else:
        bound = most_requests_per_s(replica.timer, replica.policy, means, objectives)
        most = min(
            bound * load.n_tasks_per_request * replica.n_attention_replicas,
            BUSIEST * saturated.expected / n_replicas,
        )
    found = capacity(replica, load.serve, objectives, most)
    return found if found.load is None else replace(found, load=found.load * n_replicas)


def _power_w(machine: Machine, n_gpus: int, utilisation: float, n_replicas: int) -> float | None:
    """Mean power of all replicas, each with its share of a machine; None where the machine's is not known."""
    figures = figures_of(machine)
    if "full_power_w" not in figures or not machine.gpus:
        return None
    full_w = figures.value("full_power_w") * min(1.0, n_gpus / len(machine.gpus))
    busy, idle = figures.value("busy_power_share"), figures.value("idle_power_share")
    return float(n_replicas * full_w * (utilisation * busy + (1 - utilisation) * idle))
