"""`planner simulate` as a document: whether the objectives hold, what requests see, and where it saturates."""

import shlex
from typing import Any, Final

from planner.estimate.term import Interval
from planner.report.document import Document, Table, listed
from planner.report.figures import percent, seconds
from planner.report.outside_text import plain
from planner.report.quantities import rate
from planner.report.serving_document import ENGINE_NAMES
from planner.sizing.simulated import PERCENTILES, SimulationAnswer

_MEASURES: Final = {"ttft": "first token", "tpot": "each later token", "e2e": "whole answer"}


def simulation_document(answer: SimulationAnswer) -> Document:
    """One simulated deployment, the answer first."""
    return Document(
        schema="planner.simulate/1",
        title=f"{plain(answer.model)} under the workload {plain(answer.workload.name)}",
        answer=_sentences(answer),
        tables=(_times(answer), _state(answer)),
        commands=(shlex.join(answer.command),),
        notes=answer.notes,
        data=simulation_data(answer),
    )


def _sentences(answer: SimulationAnswer) -> tuple[str, ...]:
    engine = ENGINE_NAMES.get(answer.engine, answer.engine)
    n = answer.question.n_replicas
    replicas = "" if n == 1 else f"{n} replicas, each "
    where = f"{plain(answer.model)} on {answer.machine} ({replicas}{engine}, {answer.layout})"
    return (f"At {_load(answer, answer.load)}, {where} {_verdict(answer)}.", *_limits(answer))


def _verdict(answer: SimulationAnswer) -> str:
    if answer.refused is not None:
        n, why = answer.refused
        return f"turns {n:,} of {len(answer.run.requests):,} requests away: {why}"
    if answer.is_saturated:
        return "cannot keep up: what waits grows for as long as it goes on"
    if not answer.objectives:
        return f"is {percent(answer.utilisation.expected)} busy"
    broken = [one for one in answer.objectives if not one.is_met]
    if broken:
        said = [f"{one.objective} ({_seconds(one.seconds)})" for one in broken]
        return f"does not keep to {listed(said)}"
    kept = listed([str(one.objective) for one in answer.objectives])
    unsure = [str(one.objective) for one in answer.objectives if not one.is_met_at_high]
    if unsure:
        return f"keeps to {kept} as expected; at the long end of the speeds' 80 % interval not to {listed(unsure)}"
    return f"keeps to {kept}, at the long end of the speeds' 80 % interval too"


def _limits(answer: SimulationAnswer) -> tuple[str, ...]:
    said = []
    if answer.capacity is not None:
        found = answer.capacity
        if found.load is None:
            said.append(f"No load keeps to the objectives: {found.broken}.")
        else:
            names = {str(one.objective) for one in answer.objectives}
            limit = (
                f"beyond that {found.broken} breaks"
                if found.broken in names
                else "beyond that it cannot keep up"
            )
            said.append(f"The objectives hold up to {_load(answer, found.load)}; {limit}.")
    if answer.saturation is not None:
        found_at = answer.saturation
        said.append(
            f"It saturates at {rate(found_at.expected)} ({rate(found_at.low)}–{rate(found_at.high)}) tasks per second."
        )
    if not answer.question.at_peak and answer.peak > answer.load:
        said.append(f"The busiest hour of the week has {_load(answer, answer.peak)} (--peak).")
    return tuple(said)


def _load(answer: SimulationAnswer, load: float) -> str:
    if answer.unit == "users":
        return f"{load:,.0f} user{'s' if round(load) != 1 else ''}"
    return f"{rate(load)} tasks per second"


def _seconds(found: Interval) -> str:
    return f"{seconds(found.expected)}, {seconds(found.low)} to {seconds(found.high)}"


def _times(answer: SimulationAnswer) -> Table:
    rows = []
    for measure, words in _MEASURES.items():
        by_percent = {one.percent: one.seconds for one in answer.times if one.measure == measure}
        p95 = by_percent[95]
        objective = listed(
            [str(one.objective) for one in answer.objectives if one.objective.measure == measure]
        )
        rows.append(
            (
                words,
                *(seconds(by_percent[percent_].expected) for percent_ in PERCENTILES),
                f"{seconds(p95.low)}–{seconds(p95.high)}",
                objective or "–",
            )
        )
    return Table(
        title="Times, and the 80 % interval of the 95th percentile",
        headers=("", *(f"p{percent_}" for percent_ in PERCENTILES), "p95 from–to", "objective"),
        rows=tuple(rows),
        right=(1, 2, 3, 4, 5),
    )


def _state(answer: SimulationAnswer) -> Table:
    run, policy = answer.run, answer.policy
    prompts = sum(one.n_prompt_tokens for one in run.requests) or 1
    hits = sum(one.n_prefix_hit_tokens for one in run.requests)
    rows: list[tuple[str, str]] = [
        ("busy", percent(answer.utilisation.expected)),
        ("requests decoding or read at once", f"{run.mean_running:.1f} of {policy.max_sequences:,}"),
        ("requests waiting", f"{run.mean_waiting:.2g}"),
        ("cache at its fullest", percent(run.peak_blocks / policy.n_blocks)),
        ("prompt tokens found in the prefix cache", percent(hits / prompts)),
        ("requests sent back for lack of cache", f"{run.n_preemptions:,}"),
        ("output tokens per second", rate(answer.output_tokens_per_s)),
        ("prompt tokens per second", rate(answer.prompt_tokens_per_s)),
        ("mean power", "unknown" if answer.power_w is None else f"{answer.power_w:,.0f} W"),
        (
            "energy of a million output tokens",
            "unknown" if answer.wh_per_mtok is None else f"{answer.wh_per_mtok / 1000:,.3g} kWh",
        ),
    ]
    title = "All workers" if answer.question.apart else "One replica, and power of all"
    return Table(title=title, headers=("", "value"), rows=tuple(rows), right=(1,))


def simulation_data(answer: SimulationAnswer) -> dict[str, Any]:
    """All of it, keys with units."""
    run, policy = answer.run, answer.policy
    return {
        "model": answer.model,
        "storage": answer.storage,
        "machine": answer.machine,
        "engine": answer.engine,
        "engine_version": answer.engine_version,
        "layout": answer.layout,
        "n_replicas": answer.question.n_replicas,
        "workload": answer.workload.name,
        "load_unit": answer.unit,
        "load": answer.load,
        "peak_load": answer.peak,
        "seed": answer.question.seed,
        "n_requests": len(run.requests),
        "n_refused": 0 if answer.refused is None else answer.refused[0],
        "refused_because": None if answer.refused is None else answer.refused[1],
        "is_saturated": answer.is_saturated,
        "times_s": [
            {"measure": one.measure, "percentile": one.percent, **_bounds(one.seconds)}
            for one in answer.times
        ],
        "objectives": [
            {
                "objective": str(one.objective),
                "seen_s": _bounds(one.seconds),
                "holds": one.is_met and answer.refused is None,
                "holds_at_high": one.is_met_at_high and answer.refused is None,
            }
            for one in answer.objectives
        ],
        "saturation_tasks_per_s": None if answer.saturation is None else _bounds(answer.saturation),
        "capacity_within_objectives": None if answer.capacity is None else answer.capacity.load,
        "capacity_limit": None if answer.capacity is None else answer.capacity.broken,
        "utilisation_fraction": _bounds(answer.utilisation),
        "mean_running": run.mean_running,
        "mean_waiting": run.mean_waiting,
        "n_preemptions": run.n_preemptions,
        "prefix_hit_tokens": sum(one.n_prefix_hit_tokens for one in run.requests),
        "prompt_tokens": sum(one.n_prompt_tokens for one in run.requests),
        "output_tokens_per_s": answer.output_tokens_per_s,
        "prompt_tokens_per_s": answer.prompt_tokens_per_s,
        "mean_power_w": answer.power_w,
        "wh_per_mtok_output": answer.wh_per_mtok,
        "max_sequences": policy.max_sequences,
        "max_batched_tokens": policy.max_batched_tokens,
        "kv_tokens": policy.kv_tokens,
        "speeds_are_measured": answer.is_measured,
        "command": list(answer.command),
    }


def _bounds(found: Interval) -> dict[str, float]:
    return {"low": found.low, "expected": found.expected, "high": found.high}
