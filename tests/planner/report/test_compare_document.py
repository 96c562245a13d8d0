"""A comparison in words: the answer first, and every number the data's own."""

import json
from dataclasses import replace

import pytest

from planner.cli.render import as_csv, as_json, as_markdown, as_table
from planner.compare.comparison import Comparison, compare
from planner.compare.constraints import Constraints
from planner.report.compare_document import compare_document
from tests.planner.compare.scenarios import HALF_AND_HALF, api, bought, scenario
from tests.planner.compare.test_comparison import WORKLOAD, compared


def words(found: Comparison) -> str:
    return " ".join(compare_document(found).answer)


def test_a_cheap_api_is_the_answer() -> None:
    text = words(compared(0.005))
    assert text.startswith("Stay on the API.")
    assert "owning is cheaper at no volume" in text
    assert "the probability that it is cheaper is under 1 %" in text


def test_growth_that_brings_owning_about_is_said_with_its_month() -> None:
    # 120,000 tasks now, 132,864 at the break-even of 0.027 a task: ln(1.1072) / ln(2.2) of a year, month 2.
    text = words(compared(0.027, growth=1.2))
    assert text.startswith("Stay on the API for now.")
    assert "2 months away at 120 % a year" in text


def test_owning_wins_against_a_dear_api() -> None:
    assert words(compared(0.5)).startswith("Take own machines")


def test_what_is_left_out_is_said() -> None:
    document = compare_document(compared(constraints=Constraints(custody="rented")))
    assert document.answer[0] == "Only own machines are left to choose from."
    assert any(
        note.startswith("left out: host/model: prompts would be sent to host") for note in document.notes
    )


def test_explained_terms_sum_to_the_total_to_the_cent() -> None:
    document = compare_document(compared(), explain=True)
    tables = [table for table in document.tables if table.headers[0] == "term"]
    assert len(tables) == len(compared().options)
    for table in tables:
        *terms, total = (float(str(row[1]).replace(",", "")) for row in table.rows)
        assert round(sum(terms), 2) == total
    figures = next(
        table for table in document.tables if table.headers[0] == "figure" and len(table.headers) == 7
    )
    assert {"electricity_usd_per_kwh", "tasks_per_month"} <= {row[0] for row in figures.rows}
    assert all(row[6] for row in figures.rows)  # each says where it is from


def test_data_is_whole_and_json() -> None:
    found = compared()
    data = json.loads(as_json(compare_document(found)))
    assert data["schema"] == "planner.compare/1"
    assert len(data["options"]) == len(found.options)
    for option in data["options"]:
        assert sum(term["usd"] for term in option["terms"]) == pytest.approx(option["usd_per_month"])
    # 1,000 prompt and 200 answer tokens a task.
    assert data["tokens_per_month"] == pytest.approx(120_000 * 1_200)
    assert data["duels"][0]["risk"]["seed"] == found.duels[0].risk.seed


def test_names_from_outside_change_nothing() -> None:
    evil = replace(api(0.5), name="=cmd()|' <script>\x1b[31m", provider="=cmd()")
    found = compare(
        WORKLOAD, scenario(120_000, load=HALF_AND_HALF), (bought(),), (evil,), model="m\n\x1b[2J", n_cases=100
    )
    document = compare_document(found, explain=True)
    for text in (as_table(document), as_markdown(document), as_csv(document)):
        assert "\x1b" not in text
    assert "<script>" not in as_markdown(document)
