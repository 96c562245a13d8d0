"""`planner cost pipeline` as a document: how often each stage is called, and the cheapest choice of what runs it."""

from collections.abc import Iterator

from planner.compare.pipeline import PipelineChoice, PipelineMonth
from planner.prices.machine_cost import to_the_cent
from planner.report.compare_data import terms_data
from planner.report.document import Document, Table, listed
from planner.report.figures import percent
from planner.report.outside_text import plain
from planner.report.quantities import usd

_MOST_CHOICES = 10


def pipeline_document(found: PipelineChoice, *, explain: bool = False) -> Document:
    """The cheapest choice in words, every stage of it, and what other choices cost."""
    tables = [_stages_table(found.best), _choices_table(found)]
    if explain:
        tables.append(_terms_table(found.best))
    return Document(
        schema="planner.cost-pipeline/1",
        title=f"{plain(found.name, 100)}: a month",
        answer=tuple(_answer(found)),
        tables=tuple(tables),
        notes=tuple(plain(note, 400) for note in found.notes),
        data={
            "name": found.name,
            "calls_per_task": dict(found.calls),
            "choices": [_choice_data(month) for month in found.months],
        },
    )


def _answer(found: PipelineChoice) -> Iterator[str]:
    best = found.best
    runs = listed([f"{plain(one.stage, 60)} on {plain(one.month.name, 100)}" for one in best.stages])
    yield f"{best.tasks:,.0f} tasks a month cost {usd(best.usd)}, {_small(best.usd_per_task)} each, with {runs}."
    dearest = max(best.stages, key=lambda one: sum(term.value for term in one.terms))
    share = sum(term.value for term in dearest.terms) / best.usd if best.usd else 0.0
    yield f"The stage {plain(dearest.stage, 60)} takes {percent(share)} of it."
    if len(found.months) > 1:
        yield f"The dearest of {len(found.months):,} choices costs {usd(found.months[-1].usd)}."


def _stages_table(best: PipelineMonth) -> Table:
    return Table(
        title="Stages of the cheapest choice",
        headers=("stage", "runs on", "calls a task", "$ a month", "$ a call", "machines"),
        rows=tuple(
            (
                plain(one.stage, 60),
                plain(one.month.name, 120),
                f"{one.calls:.3g}",
                usd(sum(term.value for term in one.terms)),
                _small(sum(term.value for term in one.terms) / one.month.tasks),
                one.month.n_machines or None,
            )
            for one in best.stages
        ),
        right=(2, 3, 4, 5),
    )


def _choices_table(found: PipelineChoice) -> Table:
    return Table(
        title="Choices, the cheapest first",
        headers=("choice", "$ a month", "$ a task"),
        rows=tuple(
            (
                "; ".join(f"{plain(one.stage, 60)}: {plain(one.month.name, 100)}" for one in month.stages),
                usd(month.usd),
                _small(month.usd_per_task),
            )
            for month in found.months[:_MOST_CHOICES]
        ),
        right=(1, 2),
    )


def _terms_table(best: PipelineMonth) -> Table:
    terms = to_the_cent(best.terms)
    return Table(
        title="Every term of the cheapest choice",
        headers=("term", "$", "basis", "as of", "from"),
        rows=(
            *(
                (plain(t.name, 100), f"{t.value:,.2f}", t.basis.value, t.as_of, plain(t.source, 400))
                for t in terms
            ),
            ("total", f"{sum(term.value for term in terms):,.2f}", None, None, None),
        ),
        right=(1,),
    )


def _choice_data(month: PipelineMonth) -> dict[str, object]:
    return {
        "usd_per_month": month.usd,
        "usd_per_task": month.usd_per_task,
        "tasks_per_month": month.tasks,
        "stages": [
            {
                "stage": one.stage,
                "calls_per_task": one.calls,
                "option": one.month.name,
                "kind": one.month.kind,
                "n_machines": one.month.n_machines,
                "utilisation_fraction": one.month.utilisation,
            }
            for one in month.stages
        ],
        "terms": terms_data(month.terms),
    }


def _small(value: float) -> str:
    return usd(value) if value >= 1 else f"${value:.3g}"
