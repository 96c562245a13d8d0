"""`planner cost agent` as a document: a task's cost, expected and at the worst, under limits."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from planner.compare.agent_cost import AgentCost
from planner.report.document import Document, Table
from planner.report.figures import percent
from planner.report.outside_text import plain
from planner.report.quantities import usd
from planner.workload.workload import Workload


def agent_cost_document(workload: Workload, found: Sequence[AgentCost]) -> Document:
    """Each API, the cheapest first."""
    return Document(
        schema="planner.cost-agent/1",
        title=f"What a task of {plain(workload.name, 60)} costs",
        answer=tuple(_answer(found)),
        tables=(
            Table(
                title="",
                headers=("API", "calls", "mean", "median", "p95", "p99", "at worst", "stopped"),
                rows=tuple(
                    (
                        plain(one.name, 100),
                        f"{one.n_calls:.1f}",
                        _small(one.mean_usd),
                        _small(one.median_usd),
                        _small(one.p95_usd),
                        _small(one.p99_usd),
                        None if one.worst_usd is None else _small(one.worst_usd),
                        percent(one.stopped_fraction) if one.spend_limit_usd is not None else None,
                    )
                    for one in found
                ),
                right=(1, 2, 3, 4, 5, 6, 7),
            ),
        ),
        notes=(
            "drawn tasks, what came before read from the cache; at worst: every length and step at its largest, nothing cached",
            "a limit of money is checked before each call, so a task may exceed it by one call",
        ),
        data={"workload": workload.name, "apis": [asdict(one) for one in found]},
    )


def _answer(found: Sequence[AgentCost]) -> Iterator[str]:
    for one in found[:1]:
        worst = (
            "nothing bounds the worst: give lengths that end, a step limit or a budget of tokens"
            if one.worst_usd is None
            else f"at worst {_small(one.worst_usd)}"
        )
        yield f"A task costs {_small(one.mean_usd)} on average at {plain(one.name, 100)}, one in twenty over {_small(one.p95_usd)}, {worst}."
        if one.spend_limit_usd is not None:
            yield f"The limit of {_small(one.spend_limit_usd)} stops {percent(one.stopped_fraction)} of the tasks."


def _small(value: float) -> str:
    return usd(value) if value >= 1 else f"${value:.3g}"
