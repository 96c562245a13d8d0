"""What changed between two reports."""

from typing import Any

import pytest

from planner.errors import PlannerError
from planner.report.difference import changes, difference_document


def report(**more: Any) -> dict[str, Any]:
    data: dict[str, Any] = {
        "verdict": "api",
        "options": [{"name": "own", "usd_per_month": 100.0}, {"name": "api", "usd_per_month": 50.0}],
    }
    return {"schema": "planner.compare-report/1", "made_at": "2026-11-01", "data": data | more}


def test_items_are_matched_by_name_and_not_by_place() -> None:
    old = report()
    new = report(options=[{"name": "api", "usd_per_month": 60.0}, {"name": "own", "usd_per_month": 100.0}])
    (change,) = changes(old, new)
    # 50 to 60 is a fifth more
    assert (change.path, change.old, change.new) == ("data.options[api].usd_per_month", 50.0, 60.0)
    assert change.relative == pytest.approx(0.2)


def test_small_changes_of_numbers_are_not_told_but_words_are() -> None:
    new = report(
        verdict="own",
        options=[{"name": "own", "usd_per_month": 100.4}, {"name": "api", "usd_per_month": 50.0}],
    )
    assert [change.path for change in changes(report(), new)] == ["data.verdict"]
    assert "turned from api to own" in difference_document(report(), new).answer[0]


def test_what_came_and_went_is_said() -> None:
    found = {change.path: change for change in changes(report(a=1), report(b=2))}
    assert found["data.b"].is_new and found["data.a"].is_gone
    assert found["data.a"].relative is None


def test_the_same_report_has_not_changed() -> None:
    later = report() | {"made_at": "2026-12-01"}
    assert not changes(report(), later)
    assert difference_document(report(), later).answer == (
        "Nothing changed since 2026-11-01 by half a per cent or more.",
    )


def test_reports_of_two_kinds_are_not_compared() -> None:
    with pytest.raises(PlannerError, match="different kinds"):
        difference_document(report(), report() | {"schema": "planner.fit/1"})


def test_a_hostile_report_is_shown_as_text_and_bounded() -> None:
    sly = report(**{"\x1b[31mred\u202e": "\x07bell"})
    cells = [str(cell) for row in difference_document(report(), sly).tables[0].rows for cell in row]
    assert not any(ord(char) < 32 or char == "\u202e" for cell in cells for char in cell)
    many = report(more={str(i): i for i in range(200_001)})
    with pytest.raises(PlannerError, match="more than 200,000 figures"):
        changes(report(), many)
