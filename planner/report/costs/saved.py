"""The report as it is kept: everything that is shown, in one JSON file, so that it can be made again from it alone."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from planner.compare.comparison import Comparison
from planner.errors import MalformedError
from planner.report.compare_document import compare_document
from planner.report.costs.curves import curves_data
from planner.report.document import Document, Table
from planner.report.outside_text import plain

SCHEMA: Final = "planner.compare-report/1"
_MOST_TABLES: Final = 200
_MOST_ROWS: Final = 20_000
_LONGEST: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedReport:
    """A report read back: what people read, and the data behind it."""

    document: Document  # its data are those of `planner compare`
    made_at: str
    planner_version: str
    command: str  # that made it
    curves: tuple[Mapping[str, Any], ...]

    @property
    def data(self) -> Mapping[str, Any]:
        """The comparison's data."""
        return self.document.data


def saved_data(found: Comparison, *, made_at: str, planner_version: str, command: str) -> dict[str, Any]:
    """What is kept of a comparison."""
    document = compare_document(found, explain=True)
    return {
        "schema": SCHEMA,
        "title": document.title,
        "made_at": made_at,
        "planner_version": planner_version,
        "command": command,
        "answer": list(document.answer),
        "tables": [
            {
                "title": table.title,
                "headers": list(table.headers),
                "rows": [list(row) for row in table.rows],
                "right": list(table.right),
            }
            for table in document.tables
        ],
        "notes": list(document.notes),
        "data": dict(document.data),
        "curves": curves_data(found),
    }


def saved_report(data: Mapping[str, Any], source: str) -> SavedReport:
    """A report from its JSON; raises MalformedError, one line, for anything else. Nothing in it is trusted."""
    if data.get("schema") != SCHEMA:
        raise MalformedError(
            f"{source} is no report of `planner compare --out`: its schema is {plain(data.get('schema'), 60)!r}"
        )
    try:
        tables = data["tables"]
        if len(tables) > _MOST_TABLES or sum(len(table["rows"]) for table in tables) > _MOST_ROWS:
            raise MalformedError(f"{source} has more tables or rows than a report of the planner can have")
        return SavedReport(
            document=Document(
                schema=SCHEMA,
                title=_text(data["title"]),
                answer=tuple(_text(sentence) for sentence in data["answer"]),
                tables=tuple(_table(table) for table in tables),
                notes=tuple(_text(note) for note in data["notes"]),
                data=_checked(_mapping(data["data"])),
            ),
            made_at=_text(data["made_at"]),
            planner_version=_text(data["planner_version"]),
            command=_text(data["command"]),
            curves=tuple(_curve(_mapping(curve)) for curve in data["curves"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedError(
            f"{source} is no whole report: {type(error).__name__} at {plain(error, 100)}"
        ) from error


def _table(data: Mapping[str, Any]) -> Table:
    return Table(
        title=_text(data["title"]),
        headers=tuple(_text(header) for header in data["headers"]),
        rows=tuple(tuple(_cell(cell) for cell in row) for row in data["rows"]),
        right=tuple(int(column) for column in data["right"]),
    )


def _cell(value: Any) -> str | int | float | None:
    if value is None or isinstance(value, (int, float)):
        return value
    return _text(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"a text that is {type(value).__name__}")
    return plain(value, _LONGEST)


def _checked(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The data, once everything that the page shows of them is there and of its kind."""
    _numbers(data["tokens_per_month"], data["load"]["tasks_per_month"], data["n_months"])
    _text(data["workload"])
    for option in data["options"]:
        _text(option["name"])
        if option["kind"] not in ("own", "api", "hybrid"):
            raise ValueError(f"an option of the kind {option['kind']!r}")
        _numbers(option["usd_per_month"], *option["flow"]["out_usd_by_month"])
    for duel in data["duels"]:
        risk = duel["risk"]
        low, middle, high = risk["difference_usd_10_50_90"]
        _numbers(
            duel["usd_saved"], low, middle, high, risk["expected_difference_usd"], risk["n_cases"], risk["seed"],
            risk["probability_own_cheaper"],
        )  # fmt: skip
        if duel["first_break_even_tasks_per_month"] is not None:
            _numbers(duel["first_break_even_tasks_per_month"])
        for swing in risk["swings"]:
            _text(swing["figure"])
            _numbers(swing["usd_at_low"], swing["usd_at_high"])
    return data


def _curve(curve: Mapping[str, Any]) -> Mapping[str, Any]:
    _text(curve["name"])
    if curve["kind"] not in ("own", "api"):
        raise ValueError(f"a curve of the kind {curve['kind']!r}")
    _numbers(*curve["tasks_per_month"], *curve["usd_per_month"])
    if len(curve["tasks_per_month"]) != len(curve["usd_per_month"]):
        raise ValueError("a curve with more volumes than costs, or fewer")
    return curve


def _numbers(*values: Any) -> None:
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ValueError(f"a number that is {value!r}")


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"an object that is {type(value).__name__}")
    return value
