"""A deployment under a workload, step by step: what requests see, how full it is, and what it carries."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, get_args

from hardware.interconnect import NetworkLink
from hardware.spec import Basis, Machine
from hardware.units import MEGA, SECONDS_PER_HOUR
from planner.api.machines import machine_for
from planner.api.models import open_model
from planner.api.serving_machines import serving_machines
from planner.api.simulated_deployments import Deployed, of_apart, of_engine, of_llama_cpp
from planner.api.taken_load import taken_load
from planner.errors import MissingFactError
from planner.estimate.serving_speed.step_timer import Bound
from planner.estimate.term import Interval
from planner.prices.machine_hour import figures_of
from planner.progress import Progress
from planner.readers.request_log import read_request_log
from planner.simulate.result import SimulationResult
from planner.sizing.closed_form import means_of, most_at_once, most_requests_per_s, most_users
from planner.sizing.demand import demand_of
from planner.sizing.option import Seen
from planner.sizing.replica import BUSIEST, Capacity, Replica, Serve, capacity, percentile_s, saturation
from planner.sizing.sampled_load import SampledLoad, logged_load, sampled_load
from planner.sizing.simulated import PERCENTILES, SeenTime, SimulationAnswer, SimulationQuestion
from planner.workload.learned import learn
from planner.workload.workload import Measure, Objective, Workload

BOUNDS: Final = get_args(Bound)
_LEAST_S: Final = 1e-9


_LONGEST_NAME: Final = 60
DEFAULT_QUESTION: Final = SimulationQuestion()


def simulate(
    text: str,
    workload: Workload,
    question: SimulationQuestion = DEFAULT_QUESTION,
    *,
    on: str | Machine | None = None,
    network: NetworkLink | None = None,
    trace: Path | None = None,
    assume: Sequence[str] = (),
    progress: Progress | None = None,
) -> SimulationAnswer:
    """Simulates a model on a machine under a workload, or under a trace's own requests within a workload's objectives.

    Raises MissingFactError with the engine's reason where it does not start, or with what is not known.
    """
    opened = open_model(text, assume, progress)
    load = (
        sampled_load(workload, question.n_requests, question.seed)
        if trace is None
        else _replayed(trace, workload, question)
    )
    load, length, turned_away = taken_load(opened, load, question.n_context_tokens)
    if question.engine == "llama.cpp":
        machine = machine_for(on)
        deployed = of_llama_cpp(text, machine, question, length, assume)
    else:
        machines = serving_machines(on, network)
        machine = machines.machine
        build = of_engine if question.apart is None else of_apart
        deployed = build(opened, machines, question, load, length)
    deployed = replace(deployed, notes=(*turned_away, *deployed.notes))
    return _answer(deployed, machine, load, question, progress)


def _replayed(trace: Path, workload: Workload, question: SimulationQuestion) -> SampledLoad:
    """A trace at its own rate; the workload's rate where a person gave one."""
    log = read_request_log(trace, limit=question.n_requests)
    learned = learn(log, trace.stem[:_LONGEST_NAME]).workload
    is_given = any(one.basis == "given" and one.key.startswith("traffic.") for one in workload.sources)
    traffic = workload.traffic if is_given else learned.traffic
    if traffic.tasks_per_s is None:
        raise MissingFactError(
            "a trace's requests come at their own times; give --rps, not --users, to change their rate"
        )
    asked = replace(
        learned, traffic=traffic, objectives=workload.objectives, availability=workload.availability
    )
    return logged_load(asked, log)


def _answer(
    deployed: Deployed,
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
        runs[bound] = deployed.serve(bound, load.enough(wanted / parts), wanted / parts)
    if progress is not None:
        progress(3 / 5, "saturation")
    saturated = _saturation(deployed, replicas, load, question.n_replicas)
    if progress is not None:
        progress(4 / 5, "the largest load within the objectives")
    carried = _capacity(deployed, replicas["expected"], load, question.n_replicas, saturated)
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


def _saturation(
    deployed: Deployed, replicas: dict[Bound, Replica], load: SampledLoad, n_replicas: int
) -> Interval | None:
    if load.unit == "users":
        return None
    return _interval(
        {
            bound: n_replicas
            * saturation(
                replica,
                _serve(deployed, bound, load),
                _n_at_once(deployed, replica, load),
                load.n_tasks_per_request,
            )
            for bound, replica in replicas.items()
        }
    )


def _n_at_once(deployed: Deployed, replica: Replica, load: SampledLoad) -> int:
    means = means_of(load.requests, prefix_cache=replica.policy.prefix_cache)
    return deployed.n_decoding * most_at_once(replica.timer, replica.policy, means, ())


def _serve(deployed: Deployed, bound: Bound, load: SampledLoad) -> Serve:
    """The deployment's own run, in the place of one on a policy and a timer."""
    return lambda _policy, _timer, at, n: deployed.serve(bound, load.enough(at, n), at)


def _capacity(
    deployed: Deployed, replica: Replica, load: SampledLoad, n_replicas: int, saturated: Interval | None
) -> Capacity | None:
    """What all replicas carry within the objectives."""
    objectives = load.workload.objectives
    if not objectives:
        return None
    means = means_of(load.requests, prefix_cache=replica.policy.prefix_cache)
    if saturated is None:
        most = deployed.n_decoding * most_users(
            replica.timer, replica.policy, means, objectives, load.idle_s_per_request
        )
    else:
        most = BUSIEST * saturated.expected / n_replicas
        if not deployed.is_apart:
            bound = most_requests_per_s(replica.timer, replica.policy, means, objectives)
            most = min(most, bound * load.n_tasks_per_request * replica.n_attention_replicas)
    found = capacity(replica, _serve(deployed, "expected", load), objectives, most)
    return found if found.load is None else replace(found, load=found.load * n_replicas)


def _power_w(machine: Machine, n_gpus: int, utilisation: float, n_replicas: int) -> float | None:
    """Mean power of all replicas, each with its share of a machine; None where the machine's is not known."""
    figures = figures_of(machine)
    if "full_power_w" not in figures or not machine.gpus:
        return None
    full_w = figures.value("full_power_w") * min(1.0, n_gpus / len(machine.gpus))
    busy, idle = figures.value("busy_power_share"), figures.value("idle_power_share")
    return float(n_replicas * full_w * (utilisation * busy + (1 - utilisation) * idle))
