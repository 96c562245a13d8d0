"""`planner cost solved` as a document: what a solved task costs with each model, and whether the dearer one pays."""

from collections.abc import Iterator
from dataclasses import asdict

from planner.compare.solved import DearerPays, Solved, SolvedCost
from planner.report.document import Document, Table
from planner.report.figures import percent
from planner.report.outside_text import plain
from planner.report.quantities import usd


def solved_document(found: Solved) -> Document:
    """Each model, the cheapest solved task first, and each dearer model against the cheapest."""
    return Document(
        schema="planner.cost-solved/1",
        title="What a solved task costs",
        answer=tuple(_answer(found)),
        tables=(_costs_table(found), *([_duels_table(found)] if found.duels else [])),
        notes=(
            "(attempts · price + failures · people's minutes · wage) / solved; the probability allows for how few tasks were tried",
        ),
        data={
            "costs": [_cost_data(cost) for cost in found.costs],
            "duels": [_duel_data(duel) for duel in found.duels],
        },
    )


def _answer(found: Solved) -> Iterator[str]:
    best = found.costs[0]
    if best.usd is None:
        yield "No model solved any task, so a solved one has no cost."
        return
    yield (
        f"{_name(best)} solves tasks for least: {_small(best.usd)} each, {_small(best.model_usd or 0)} of it for the model and "
        f"{_small(best.people_usd or 0)} for people who repair the {percent(1 - best.result.solved_fraction)} that fail."
    )
    for duel in found.duels:
        yield _duel(duel)


def _duel(duel: DearerPays) -> str:
    dear, cheap = _name(duel.dear), _name(duel.cheap)
    if duel.break_even_usd_per_hour is None:
        if duel.dear.repair.minutes == 0:
            return f"{dear} saves nobody any time, as a failure takes no minutes."
        return f"{dear} never pays against {cheap}: it leaves people as much to repair."
    wage = usd(duel.break_even_usd_per_hour)
    verdict = "pays" if duel.pays else "does not pay"
    return (
        f"{dear} {verdict} against {cheap} at {usd(duel.dear.repair.usd_per_hour)} an hour and {duel.dear.repair.minutes:g} minutes "
        f"a failure: the break-even wage is {wage}, and it is cheaper with a probability of {percent(duel.probability)}."
    )


def _costs_table(found: Solved) -> Table:
    return Table(
        title="",
        headers=(
            "model",
            "evaluation",
            "solved",
            "attempts",
            "$ an attempt",
            "$ a solved task",
            "for people",
        ),
        rows=tuple(
            (
                _name(cost),
                plain(cost.result.evaluation, 80),
                f"{cost.result.n_solved:g} of {cost.result.n_tasks:,}",
                f"{cost.result.n_attempts:,}",
                _small(cost.usd_per_attempt),
                None if cost.usd is None else _small(cost.usd),
                None if cost.people_usd is None else _small(cost.people_usd),
            )
            for cost in found.costs
        ),
        right=(2, 3, 4, 5, 6),
    )


def _duels_table(found: Solved) -> Table:
    return Table(
        title="Does the dearer model pay?",
        headers=("dearer", "against", "pays", "break-even wage", "break-even minutes", "probability"),
        rows=tuple(
            (
                _name(duel.dear),
                _name(duel.cheap),
                "yes" if duel.pays else "no",
                None if duel.break_even_usd_per_hour is None else usd(duel.break_even_usd_per_hour),
                None if duel.break_even_minutes is None else f"{duel.break_even_minutes:.2g}",
                percent(duel.probability),
            )
            for duel in found.duels
        ),
        right=(3, 4, 5),
    )


def _name(cost: SolvedCost) -> str:
    return plain(cost.result.model, 100)


def _cost_data(cost: SolvedCost) -> dict[str, object]:
    return {
        **asdict(cost.result),
        "usd_per_attempt": cost.usd_per_attempt,
        "people_minutes": cost.repair.minutes,
        "usd_per_hour": cost.repair.usd_per_hour,
        "usd_per_solved": cost.usd,
        "model_usd_per_solved": cost.model_usd,
        "people_usd_per_solved": cost.people_usd,
    }


def _duel_data(duel: DearerPays) -> dict[str, object]:
    return {
        "dear": duel.dear.result.model,
        "cheap": duel.cheap.result.model,
        "evaluation": duel.dear.result.evaluation,
        "pays": duel.pays,
        "break_even_usd_per_hour": duel.break_even_usd_per_hour,
        "break_even_minutes": duel.break_even_minutes,
        "probability": duel.probability,
    }


def _small(value: float) -> str:
    return usd(value) if value >= 1 or value == 0 else f"${value:.3g}"
