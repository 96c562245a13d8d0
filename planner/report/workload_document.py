"""Workloads as documents: all of them in a table, and one with its figures, their sources and what they come to."""

from collections.abc import Sequence
from typing import Any

from hardware.units import MEGA
from planner.report.document import Document, Table, listed
from planner.report.figures import percent
from planner.report.outside_text import plain
from planner.report.quantities import rate
from planner.workload.figures import workload_figures
from planner.workload.totals import (
    TaskTotals,
    calls_per_s,
    expected_task,
    largest_call_tokens,
    month_tokens,
    most_task_tokens,
)
from planner.workload.workload import Workload


def workloads_document(workloads: Sequence[Workload]) -> Document:
    """The presets."""
    rows = []
    for one in workloads:
        call = expected_task(one)
        rows.append(
            (
                plain(one.name),
                f"{call.call.prompt:,.0f}",
                f"{call.call.generated:,.0f}",
                f"{call.n_calls:.1f}",
                listed([str(objective) for objective in one.objectives]),
                plain(one.description),
            )
        )
    return Document(
        schema="planner.workloads/1",
        title="Workloads",
        answer=("Give one with --workload NAME, and your own rate with --rps or --users.",),
        tables=(
            Table(
                title="Mean tokens of a call, and calls of a task",
                headers=("name", "prompt", "made", "calls", "objectives", "who asks"),
                rows=tuple(rows),
                right=(1, 2, 3),
            ),
        ),
        data={"workloads": [workload_data(one) for one in workloads]},
    )


def workload_document(workload: Workload) -> Document:
    """One workload."""
    task = expected_task(workload)
    return Document(
        schema="planner.workload.show/1",
        title=f"The workload {plain(workload.name)}",
        answer=_sentences(workload, task),
        tables=(_totals(workload, task), _figures(workload)),
        notes=_places(workload),
        data=workload_data(workload),
    )


def _sentences(workload: Workload, task: TaskTotals) -> tuple[str, ...]:
    call = task.call
    thinking = f", {call.thinking:,.0f} of thinking" if call.thinking else ""
    what = plain(workload.description).rstrip(".") or plain(workload.name)
    sends = f"a call sends {call.prompt:,.0f} tokens and makes {call.generated:,.0f}{thinking}"
    said = [f"{what}. On average {sends}."]
    if task.n_calls != 1:
        said.append(
            f"A task takes {task.n_calls:.1f} calls and {task.tokens.all:,.0f} tokens; a prefix cache can know "
            f"{percent(task.tokens.cached / task.tokens.prompt)} of its prompts."
        )
    assumed = [source.key for source in workload.sources if source.basis == "assumed"]
    if assumed:
        said.append(f"{len(assumed)} of its {len(workload.sources)} figures are assumptions.")
    return tuple(said)


def _places(workload: Workload) -> tuple[str, ...]:
    """Where figures were found, each place once."""
    keys: dict[str, list[str]] = {}
    for source in workload.sources:
        if source.url is not None:
            dated = f" ({source.date})" if source.date else ""
            keys.setdefault(f"{plain(source.url)}{dated}", []).append(source.key)
    return tuple(f"{', '.join(found)}: {place}" for place, found in keys.items())


def _figures(workload: Workload) -> Table:
    sources = {source.key: source for source in workload.sources}
    rows = []
    for key, value in workload_figures(workload).items():
        source = sources.get(key)
        note = "" if source is None else plain(source.note)
        rows.append((key, value, "–" if source is None else source.basis, note))
    return Table(title="Figures", headers=("key", "value", "basis", "from"), rows=tuple(rows))


def _totals(workload: Workload, task: TaskTotals) -> Table:
    rows = [
        ("a call", task.call),
        ("a task", task.tokens),
    ]
    if workload.traffic.tasks_per_s is not None:
        rows.append(("a month", month_tokens(workload)))
    table = [
        (name, *(_count(number) for number in (one.prompt, one.cached, one.thinking, one.output)))
        for name, one in rows
    ]
    most = most_task_tokens(workload)
    longest = largest_call_tokens(workload)
    table.append(
        ("longest call", "–", "–", "–", "unbounded" if longest is None else f"{longest:,.0f} in all")
    )
    table.append(("largest task", "–", "–", "–", "unbounded" if most is None else f"{most:,.0f} in all"))
    return Table(
        title="Tokens, expected",
        headers=("of", "prompt", "cached at best", "thinking", "output"),
        rows=tuple(table),
        right=(1, 2, 3, 4),
    )


def _count(number: float) -> str:
    return f"{number:,.0f}" if number < MEGA else rate(number / MEGA) + " M"


def workload_data(workload: Workload) -> dict[str, Any]:
    """Figures, sources and totals, keys with units."""
    task = expected_task(workload)
    has_rate = workload.traffic.tasks_per_s is not None
    return {
        "name": workload.name,
        "description": workload.description,
        "source": workload.source,
        "figures": workload_figures(workload),
        "sources": [
            {"key": one.key, "basis": one.basis, "note": one.note, "url": one.url, "date": one.date}
            for one in workload.sources
        ],
        "calls_per_task": task.n_calls,
        "task_tokens": _tokens(task.tokens),
        "call_tokens": _tokens(task.call),
        "month_tokens": _tokens(month_tokens(workload)) if has_rate else None,
        "mean_calls_per_s": calls_per_s(workload) if has_rate else None,
        "peak_calls_per_s": calls_per_s(workload, at_peak=True) if has_rate else None,
        "peak_to_average": workload.traffic.peak_to_average,
        "longest_call_tokens": largest_call_tokens(workload),
        "most_task_tokens": most_task_tokens(workload),
    }


def _tokens(tokens: Any) -> dict[str, float]:
    return {
        "prompt": tokens.prompt,
        "cached": tokens.cached,
        "thinking": tokens.thinking,
        "output": tokens.output,
    }
