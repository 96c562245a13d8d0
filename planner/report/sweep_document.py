"""A sweep of sizes: for each model and workload the cheapest machines, and for CSV and JSON all of it."""

from collections.abc import Iterator, Sequence
from typing import Any

from planner.report.document import Cell, Document, Table
from planner.report.outside_text import plain
from planner.report.quantities import usd
from planner.sweep.cell import Answered

_MOST_REASONS = 20


def sweep_document(answers: Sequence[Answered], *, whole: bool) -> Document:
    """The cheapest of each model and workload; `whole` puts every cell into the first table, as CSV wants it."""
    groups = _grouped(answers)
    served = [group for group in groups if _cheapest(group) is not None]
    return Document(
        schema="planner.sweep/1",
        title="Sizes of many models",
        answer=(
            f"{len(answers)} questions of {len(groups)} models and workloads: {len(served)} of these can be served.",
        ),
        tables=(_whole_table(answers),) if whole else (_best_table(groups), *_unserved(groups)),
        data={
            "cells": [
                {"question": dict(one.cell.question), "answer": one.answer, "error": one.error}
                for one in answers
            ]
        },
    )


def _grouped(answers: Sequence[Answered]) -> list[list[Answered]]:
    groups: dict[tuple[str, str], list[Answered]] = {}
    for one in answers:
        groups.setdefault(_key(one), []).append(one)
    return list(groups.values())


def _key(one: Answered) -> tuple[str, str]:
    return str(one.cell.question["model"]), str(one.cell.question["workload"]["name"])


def _option(one: Answered) -> dict[str, Any] | None:
    return None if one.answer is None else one.answer["option"]


def _usd(one: Answered) -> float | None:
    option = _option(one)
    cost = None if option is None else option["usd_per_month"]
    return None if cost is None else float(cost["expected"])


def _cheapest(group: Sequence[Answered]) -> Answered | None:
    """The cheapest; without prices the first that serves."""
    serving = [one for one in group if _option(one) is not None]
    if not serving:
        return None
    return min(serving, key=lambda one: (_usd(one) is None, _usd(one) or 0.0))


def _best_table(groups: Sequence[Sequence[Answered]]) -> Table:
    rows = []
    for group in groups:
        best = _cheapest(group)
        if best is None:
            continue
        n = sum(_option(one) is not None for one in group)
        rows.append((*_key(best), *_cells(best), f"{n} of {len(group)}"))
    return Table(
        title="The cheapest machines for each",
        headers=("model", "workload", "machines", "layout", "$ a month", "headroom", "can"),
        rows=tuple(rows),
        right=(4, 5, 6),
    )


def _cells(one: Answered) -> tuple[Cell, ...]:
    option = _option(one)
    if option is None:
        return (None, None, None, None)
    cost = _usd(one)
    n = option["n_machines"] + option["n_spare_machines"]
    return (
        f"{n} × {plain(option['machine'], 60)}",
        f"{plain(option['storage'], 20)} TP{option['tensor_parallel']}",
        None if cost is None else usd(cost),
        f"{option['headroom']:.0%}",
    )


def _unserved(groups: Sequence[Sequence[Answered]]) -> Iterator[Table]:
    rows: list[tuple[Cell, ...]] = [
        (*_key(group[0]), plain(_why(group[-1]), 200)) for group in groups if _cheapest(group) is None
    ]
    if rows:
        yield Table(
            title="What no machine serves", headers=("model", "workload", "the last one, because"),
            rows=tuple(rows[:_MOST_REASONS]),
        )  # fmt: skip


def _why(one: Answered) -> str:
    if one.error is not None:
        return one.error
    reasons = [] if one.answer is None else one.answer["reasons"]
    return str(reasons[-1]) if reasons else "no layout"


def _whole_table(answers: Sequence[Answered]) -> Table:
    return Table(
        title="Every model, workload and machine",
        headers=(
            "model", "workload", "machine", "machines", "layout", "usd_per_month", "headroom", "engine", "why_not",
        ),
        rows=tuple(
            (
                *_key(one), str(one.cell.question["machine"]), *_cells(one),
                None if _option(one) is None else str((_option(one) or {})["engine"]),
                None if _option(one) is not None else plain(_why(one), 300),
            )
            for one in answers
        ),
        right=(5, 6),
    )  # fmt: skip
