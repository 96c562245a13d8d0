"""How many tasks a second a machine does: by the search for serving layouts, or by llama.cpp, one call at a time."""

from dataclasses import dataclass, replace
from typing import Literal

from hardware.spec import Basis, Machine
from planner.api.fitting import fit
from planner.api.machine_offers import OfferedMachine, offered_machine
from planner.api.sizing import size
from planner.compare.options import TASKS_PER_S
from planner.compare.own_capacity import sequential_tasks_per_s
from planner.compare.scenario import STATED_UNITS
from planner.errors import USER_ERRORS, MissingFactError
from planner.estimate.ranking import headline
from planner.estimate.term import Interval
from planner.prices.figure import Figure
from planner.sizing.option import Option, Plan
from planner.sizing.question import SizingQuestion
from planner.workload.totals import expected_task
from planner.workload.workload import Workload

# "auto": what serves most that starts, vLLM first; llama.cpp where no serving engine does.
Engine = Literal["auto", "vllm", "sglang", "llama.cpp"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCapacity:
    """What one machine does for a workload: tasks a second, and how."""

    tasks_per_s: Figure
    layout: str
    machines_per_unit: int = 1
    notes: tuple[str, ...] = ()


def own_capacity(
    text: str, machine: Machine, workload: Workload, engine: Engine = "auto", quant: str | None = None
) -> OwnCapacity:
    """Tasks a second of a model on a machine. Raises PlannerError where it does not run there, or how fast is unknown."""
    if engine == "llama.cpp":
        return llama_cpp_capacity(text, machine, workload, quant)
    if engine != "auto":
        return serving_capacity(text, machine, workload, engine)
    try:
        return serving_capacity(text, machine, workload, "vllm")
    except USER_ERRORS as error:
        found = llama_cpp_capacity(text, machine, workload, quant)
        why = f"{machine.name}: no serving engine ({error}), so llama.cpp is taken"
        return replace(found, notes=(why, *found.notes))


def serving_capacity(text: str, machine: Machine, workload: Workload, engine: str) -> OwnCapacity:
    """Tasks a second at which a serving engine still keeps to the workload's objectives, by simulation.

    The low end is the capacity at the low end of the speed model's interval; the high end is as far above the expected one.
    """
    offered = offered_machine(machine, machine.name, "owned")
    expected = _best(_plan(text, workload, offered, engine, "expected"))
    low = _plan(text, workload, offered, engine, "low").best
    rate = expected.capacity_per_replica * expected.replicas_per_machine
    least = rate if low is None else min(rate, low.capacity_per_replica * low.replicas_per_machine)
    layout = f"{expected.layout.engine}, {expected.layout.words}, {expected.replicas_per_machine} replicas"
    return OwnCapacity(
        tasks_per_s=capacity_figure(
            Interval(low=least, expected=rate, high=rate * rate / least, basis=Basis.DERIVED, source=layout),
            f"{layout}: simulated, beyond it {expected.capacity_limit}",
        ),
        layout=layout,
        notes=expected.notes,
    )


def llama_cpp_capacity(
    text: str, machine: Machine, workload: Workload, quant: str | None = None
) -> OwnCapacity:
    """Tasks a second of llama.cpp on a machine, one call at a time."""
    task = expected_task(workload)
    context = max(512, round(task.call.prompt + task.call.generated))
    answer = fit(text, on=machine, contexts=(context,), quants=(quant,) if quant else ())
    row = headline(answer.rows)
    if not row.placement.fits:
        raise MissingFactError(f"{text} does not fit on {machine.name}: `planner fit` says what is short")
    prefill, decode, full = (speed.tokens_per_s for speed in (row.prefill, row.decode, row.decode_full))
    if prefill is None or decode is None or full is None:
        missing = row.decode.missing or row.prefill.missing or "a speed is unknown"
        raise MissingFactError(
            f"{text} on {machine.name}: {missing}; state it with --set {TASKS_PER_S}=VALUE"
        )
    found = sequential_tasks_per_s(task, prefill, decode, full, context)
    return OwnCapacity(
        tasks_per_s=capacity_figure(found, f"llama.cpp, {row.model.storage.label}: {found.source}"),
        layout=f"llama.cpp, {row.model.storage.label}, one call at a time",
        notes=(f"{machine.name} answers one call at a time; several at once would do more",),
    )


def capacity_figure(found: Interval, source: str) -> Figure:
    """Tasks a second with their bounds."""
    return Figure(
        name=TASKS_PER_S,
        value=found.expected,
        unit=STATED_UNITS[TASKS_PER_S],
        basis=found.basis,
        source=source,
        low=found.low,
        high=found.high,
    )


def _plan(
    text: str, workload: Workload, offered: OfferedMachine, engine: str, sized_for: Literal["expected", "low"]
) -> Plan:
    question = SizingQuestion(engines=(engine,), sized_for=sized_for)
    return size(text, workload, question, machines=(offered,), are_named=True)


def _best(plan: Plan) -> Option:
    if plan.best is None:
        reasons = list(dict.fromkeys(one.reason for one in plan.rejections))
        raise MissingFactError(f"{plan.model}: {reasons[0] if reasons else 'nothing meets the objectives'}")
    return plan.best
