"""Checks of answers: what passes, what does not, and what is no check."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.evaluate.checks import KINDS, LONGEST_ANSWER, check_of


@pytest.mark.parametrize(
    ("wanted", "passes", "fails"),
    [
        ({"exact": "Paris"}, [" paris\n"], ["Paris.", ""]),
        ({"exact": ["yes", "ja"]}, ["Yes", "ja"], ["no"]),
        ({"exact": "Paris", "case": True}, ["Paris"], ["paris"]),
        ({"contains": ["red", "green"]}, ["Green and\n RED"], ["red"]),
        ({"contains_any": ["red", "green"]}, ["a red one"], ["blue"]),
        ({"number": 1234.5, "tolerance": 0.01}, ["so it is 1,234.5", "7, then 1240"], ["1234.5 or 7", "none"]),
        ({"number": 4}, ["2 + 2 = 4", "4.0"], ["4 of 5", "-4", "14"]),
        ({"matches": r"\b\d{4}-\d\d-\d\d\b"}, ["on 2026-11-28."], ["yesterday"]),
        ({"json": {"a": 1, "b": [True]}}, ['{"a": 1, "b": [true], "c": 2}', 'Here:\n```json\n{"a":1,"b":[true]}\n```'],
         ['{"a": 1, "b": [1]}', '{"a": 1}', "[1]", "not json"]),
        ({"contains": "4"}, ["<think>5? no</think>4"], ["<think>4</think>five"]),
    ],
)  # fmt: skip
def test_each_kind_of_check(wanted: dict[str, Any], passes: list[str], fails: list[str]) -> None:
    check = check_of(wanted)
    assert all(check(answer) for answer in passes)
    assert not any(check(answer) for answer in fails)


@pytest.mark.parametrize(
    "wanted",
    [
        {}, {"exact": "a", "contains": "b"}, {"exact": "a", "colour": 1}, {"exact": 3}, {"exact": []}, {"contains": [1]},
        {"number": "4"}, {"number": True}, {"number": float("nan")}, {"matches": "("}, {"run": "rm"},
    ],
)  # fmt: skip
def test_what_is_no_check_is_refused(wanted: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"check|number|regular expression"):
        check_of(wanted)


@given(answer=st.text(max_size=2000), kind=st.sampled_from(sorted(KINDS)))
def test_no_answer_breaks_a_check(answer: str, kind: str) -> None:
    values: dict[str, Any] = {"number": 3, "json": {"a": [1]}, "matches": "a+b"}
    assert check_of({kind: values.get(kind, "x")})(answer) in (True, False)


def test_an_answer_without_end_is_cut() -> None:
    assert not check_of({"contains": "end"})("x" * LONGEST_ANSWER + "end")
    assert not check_of({"json": {"a": 1}})("[" * 100_000)
