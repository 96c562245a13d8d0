"""`planner size` as a document: the answer in words, options and what failed in one table, and how to go on."""

import shlex
from collections.abc import Sequence

from hardware.units import HOURS_PER_MONTH
from planner.deploy.purchase import PurchasePlan
from planner.report.document import Document, Table, listed
from planner.report.figures import percent, seconds
from planner.report.purchase_table import purchase_data, purchase_table
from planner.report.quantities import usd
from planner.report.serving_document import ENGINE_NAMES
from planner.report.size_data import plan_data
from planner.report.size_details import detail_tables
from planner.sizing.option import Option, Plan, Rejection

_DEALS = {"on-demand": "rented", "reserved": "reserved", "spot": "on spot", "buy": "bought", "owned": "owned"}
# What came closest to an answer, last.
_NEARNESS = ("layout", "memory", "speed", "closed form", "simulation", "number", "price")


def size_document(
    plan: Plan,
    *,
    explain: bool = False,
    chosen: Option | None = None,
    proof: Sequence[str] = (),
    purchases: PurchasePlan | None = None,
) -> Document:
    """The plan; `chosen` is the option whose commands are shown (the best), `proof` is a load test of it."""
    option = chosen or plan.best
    commands = []
    if option is not None:
        commands = [shlex.join(option.layout.command), *((shlex.join(proof),) if proof else ())]
    data = plan_data(plan)
    if proof:
        data["proof_command"] = list(proof)
    if purchases is not None:
        data["purchases"] = purchase_data(purchases)
    return Document(
        schema="planner.size/1",
        title=f"Machines for {plan.model} and the workload {plan.workload.name}",
        answer=_sentences(plan),
        tables=(
            _options_table(plan),
            _refused_table(plan),
            *(detail_tables(plan) if explain else ()),
            *((purchase_table(purchases),) if purchases is not None else ()),
        ),
        commands=tuple(commands),
        notes=_notes(plan),
        data=data,
    )


def _sentences(plan: Plan) -> tuple[str, ...]:
    best = plan.best
    asked = listed([str(one) for one in plan.workload.objectives])
    if best is None:
        nearest = max(plan.rejections, key=_nearness, default=None)
        if nearest is not None and nearest.layout:  # of layouts that fail alike, the last is the largest
            nearest = max(reversed(plan.rejections), key=_nearness)
        why = ""
        if nearest is not None:
            what = f"{nearest.machine}, {nearest.layout}" if nearest.layout else nearest.machine
            why = f" Nearest: {what}: {nearest.reason}."
        goal = f"keeps to {asked}" if asked else "serves it"
        at = "" if plan.goal == "most load" else f" at {_load(plan.peak, plan.unit)}"
        return (f"None of the {plan.n_machines_looked_at} kinds of machine {goal}{at}.{why}",)
    return (_headline(plan, best, asked), *_care(plan, best))


def _headline(plan: Plan, best: Option, asked: str) -> str:
    replicas = "replica" if best.n_replicas == 1 else "replicas"
    machines = f"{best.n_all_machines} × {best.offer.description}"
    spare = f", {best.n_spare_machines} of them spare" if best.n_spare_machines else ""
    engine = f"{ENGINE_NAMES.get(best.layout.engine, best.layout.engine)} {best.layout.engine_version}"
    layout = f"{best.n_replicas} {replicas} of {best.layout.words} in {engine}"
    within = f" within {asked}" if asked else ""
    if plan.goal == "most load":
        return f"{machines}{spare} carry {_load(best.peak, best.unit)}{within} ({layout}){_asked_of_them(plan, best)}."
    cost = "at a price that nobody published"
    if best.usd_per_month is not None:
        cost = f"{usd(best.usd_per_month.expected)} a month {_DEALS[best.offer.deal]}"
    peak = "The work" if not plan.workload.objectives else f"The peak of {_load(plan.peak, plan.unit)}"
    return f"{peak} is carried by {machines}{spare}{within}: {layout}, {percent(best.headroom)} headroom, {cost}."


def _asked_of_them(plan: Plan, best: Option) -> str:
    share = plan.peak / best.capacity
    return f"; the workload's peak of {_load(plan.peak, plan.unit)} takes {percent(share)} of that"


def _care(plan: Plan, best: Option) -> tuple[str, ...]:
    """How sure it is, and what was sized for."""
    if not best.seen:
        hours = best.hours_per_month
        kept = "all month" if hours >= HOURS_PER_MONTH else f"{hours:,.0f} hours a month"
        return (f"Nobody waits for an answer: machines are kept {kept}.",)
    if plan.sized_for == "low":
        return (_limit(best), "Sized for the low end of the speeds' 80 % interval.")
    at_risk = [str(one.objective) for one in best.seen if not one.is_met_at_high]
    if not at_risk:
        return (_limit(best), "It holds over the whole 80 % interval of the speeds.")
    return (
        _limit(best),
        f"Sized for expected speeds; at the low end {listed(at_risk)} would not hold (--confidence low sizes for that).",
    )


def _limit(best: Option) -> str:
    """What a replica carries, and what breaks beyond it."""
    return f"A replica carries up to {_load(best.capacity_per_replica, best.unit)}, limited by {best.capacity_limit}."


def _options_table(plan: Plan) -> Table:
    names = tuple(f"{one.measure} p{one.quantile * 100:g}" for one in plan.workload.objectives)
    carried = "use" if plan.goal == "least cost" else plan.unit
    return Table(
        title="",
        headers=("", "machines", "layout", "replicas", *names, carried, "$ a month"),
        rows=tuple(_row(plan, option) for option in plan.options),
        right=tuple(range(4, 6 + len(names))),
    )


def _refused_table(plan: Plan) -> Table:
    return Table(
        title="What does not do",
        headers=("machine", "layout", "why"),
        rows=tuple((one.machine, one.layout, one.reason) for one in _shown_rejections(plan)),
    )


def _row(plan: Plan, option: Option) -> tuple[str, ...]:
    mark = "*" if option is plan.best else "+" if option in plan.front else "" if option.is_measured else "?"
    spares = f" + {option.n_spare_replicas}" if option.n_spare_replicas else ""
    last = percent(option.utilisation_at_peak) if plan.goal == "least cost" else f"{option.peak:.3g}"
    cost = "–" if option.usd_per_month is None else f"{option.usd_per_month.expected:,.0f}"
    return (
        mark,
        f"{option.n_all_machines} × {option.offer.description}",
        _layout_words(plan, option),
        f"{option.n_replicas}{spares}",
        *(seconds(one.seconds.expected) for one in option.seen),
        last,
        cost,
    )


def _layout_words(plan: Plan, option: Option) -> str:
    """The layout, with its engine where several were tried."""
    engines = {one.layout.engine for one in plan.options} | {
        one.engine for one in plan.rejections if one.engine
    }
    return f"{option.layout.words} {option.layout.engine}" if len(engines) > 1 else option.layout.words


def _shown_rejections(plan: Plan) -> list[Rejection]:
    """For every kind of accelerator without an option, and each way of storing, what came nearest."""
    answered = {_accelerator(option.offer.description) for option in plan.options}
    nearest: dict[tuple[str, str, str], Rejection] = {}
    out_of_reach = {_accelerator(one.machine) for one in plan.rejections if not one.layout}
    for rejection in plan.rejections:
        kind = _accelerator(rejection.machine)
        if kind in answered or (rejection.layout and kind in out_of_reach):
            continue
        key = (kind, rejection.engine, rejection.layout.partition(" ")[0])
        # Of layouts the larger is nearer; of machines that are out of reach, the smaller.
        other = nearest.get(key)
        better = other is None or _nearness(rejection) > _nearness(other)
        if better or (rejection.layout and other is not None and _nearness(rejection) == _nearness(other)):
            nearest[key] = rejection
    return list(nearest.values())


def _accelerator(description: str) -> str:
    """A machine's words without how many accelerators it has."""
    first, _, rest = description.partition("x ")
    return rest if first.isdigit() else description


def _nearness(rejection: Rejection) -> int:
    return _NEARNESS.index(rejection.stage)


def _load(load: float, unit: str) -> str:
    return f"{load:.3g} tasks a second" if unit == "tasks/s" else f"{load:,.0f} users"


def _notes(plan: Plan) -> tuple[str, ...]:
    best = plan.best
    notes = list(plan.notes)
    if best is not None and best.usd_per_month is not None:
        notes.append(f"price: {best.offer.usd_per_hour.source}" if best.offer.usd_per_hour else "")
    if any(option in plan.front for option in plan.options[1:]):
        notes.append("+ marks options that are faster or have more headroom for more money")
    if not all(option.is_measured for option in plan.options):
        notes.append("? marks speeds that nobody measured anything like")
    return tuple(note for note in notes if note)
