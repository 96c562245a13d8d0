"""A choice among a few models that are made up, so that every order can be checked by hand."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.spec import Basis
from planner.decide.answers import Answers
from planner.decide.candidate import Candidate, Way
from planner.decide.decision import decide
from planner.estimate.term import Interval


def speed(tokens_per_s: float) -> Interval:
    return Interval(
        low=tokens_per_s * 0.9, expected=tokens_per_s, high=tokens_per_s * 1.1, basis=Basis.DERIVED, source=""
    )


def model(
    name: str, score: float | None, usd: float | None, tok_s: float | None = None, **more: Any
) -> Candidate:
    ways = []
    if usd is not None:
        ways.append(Way(kind="api", where="host", command="", usd_per_month=usd))
    if tok_s is not None:
        ways.append(Way(kind="own", where="box", command="", tokens_per_s=speed(tok_s)))
    facts: dict[str, Any] = {
        "id": name, "name": name, "is_open": True, "modalities": ("text",), "context_tokens": 32_768, "thinks": False,
        "calls_tools": True, "is_for_code": False, "licence": "mit", "commercial": "yes", "n_parameters": 10**9,
        "released": "2026-01", "score": score, "ways": tuple(ways),
    }  # fmt: skip
    return Candidate(**(facts | more))


BEST = model("best", 80, 100.0, is_open=False, thinks=True, modalities=("text", "image"))
GOOD = model("good", 60, 20.0, 30.0)
DEAR = model("dear", 55, 50.0, 10.0)  # worse and dearer than good
POOR = model("poor", 35, 1.0, 200.0)
UNSCORED = model("unscored", None, 0.5, 300.0)
ALL = (POOR, UNSCORED, DEAR, GOOD, BEST)


def names(answers: Answers) -> list[str]:
    return [one.id for one in decide(answers, ALL).listed]


def test_by_quality_the_best_score_comes_first() -> None:
    assert names(Answers(priority="quality", difficulty="easy")) == [
        "best",
        "good",
        "dear",
        "poor",
        "unscored",
    ]


def test_by_cost_the_cheapest_that_is_good_enough_comes_first() -> None:
    # Medium: 0.65 of the best 80 is 52, so poor (35) is out. On the front are good (60 for 20) and best (80 for 100);
    # dear is beaten by good in both; unscored is cheapest but nobody knows whether it is good enough.
    assert names(Answers(priority="cost")) == ["good", "best", "dear", "unscored"]


def test_hard_tasks_leave_the_best() -> None:
    # 0.9 of 80 is 72
    assert names(Answers(priority="cost", difficulty="hard")) == ["best", "unscored"]


def test_data_that_stays_rules_closed_weights_out_and_orders_by_own_speed() -> None:
    decision = decide(Answers(data="own", machine="box", priority="speed"), ALL)
    assert [one.id for one in decision.listed] == ["good", "dear", "unscored"]
    assert {one.candidate.id: one.key for one in decision.ruled_out} == {"best": "data", "poor": "difficulty"}


@pytest.mark.parametrize(
    ("answers", "out", "why"),
    [
        (Answers(modalities=("text", "image")), "good", "does not take image"),
        (Answers(context_tokens=65_536), "good", "ends at"),
        (Answers(reasoning="much"), "good", "does not think"),
        (Answers(tuning=True), "best", "cannot be tuned"),
        (Answers(weights="open"), "best", "closed"),
        (Answers(data="own", machine="box", tokens_per_s=20), "dear", "makes 10 tokens/s"),
    ],
)
def test_each_answer_rules_out_by_its_reason(answers: Answers, out: str, why: str) -> None:
    found = {one.candidate.id: one.why for one in decide(answers, ALL).ruled_out}
    assert why in found[out]


@pytest.mark.parametrize(
    ("answers", "fact"),
    [
        (Answers(reasoning="some"), {"thinks": None}),
        (Answers(flow="agent"), {"calls_tools": None}),
        (Answers(), {"commercial": None}),
        (Answers(), {"context_tokens": None}),
        (Answers(), {"modalities": None}),
    ],
)
def test_a_missing_fact_is_named_and_never_guessed(answers: Answers, fact: dict[str, Any]) -> None:
    (out,) = decide(answers, [replace(GOOD, **fact)]).ruled_out
    assert out.is_unknown and out.why.startswith("not known: ")


def test_another_answer_that_would_put_another_first_is_said() -> None:
    changes = {(one.key, one.value): one.first.id for one in decide(Answers(), ALL).changes if one.first}
    assert changes["priority", "quality"] == "best" and changes["difficulty", "easy"] == "poor"
    # best is the only one that thinks
    assert changes["reasoning", "some"] == "best"
    assert ("tuning", True) not in changes  # good is open already


def test_nothing_left_says_which_answer_to_give_way_on() -> None:
    decision = decide(Answers(weights="open", modalities=("image",)), ALL)
    assert decision.first is None
    assert decision.ruled_out_by == (("modalities", 4), ("weights", 1))
    assert {one.key for one in decision.changes} >= {"weights"}


def test_for_code_models_for_code_come_first_among_likes() -> None:
    coder = model("coder", 60, 20.0, is_for_code=True, n_parameters=1)
    answers = Answers(priority="quality", code=True)
    assert [one.id for one in decide(answers, (GOOD, coder)).listed] == ["coder", "good"]
    assert next(one.id for one in decide(replace(answers, code=False), (GOOD, coder)).listed) == "good"


@given(
    scores=st.lists(st.tuples(st.floats(1, 100), st.floats(0.01, 1e4)), min_size=1, max_size=8),
    priority=st.sampled_from(("quality", "cost", "speed")),
)
def test_who_comes_first_is_beaten_by_nobody_in_both(
    scores: list[tuple[float, float]], priority: Any
) -> None:
    candidates = [model(str(i), score, usd, 1 / usd) for i, (score, usd) in enumerate(scores)]
    first = decide(Answers(priority=priority, difficulty="easy"), candidates).first
    assert first is not None and first.score is not None
    usd = first.cheapest_api.usd_per_month if first.cheapest_api else None
    assert usd is not None
    better = [(s, u) for s, u in scores if s > first.score and u < usd]
    assert not better


def test_answers_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ValueError, match="closed weights run at their makers"):
        Answers(data="own", weights="closed")
    with pytest.raises(ValueError, match="trained further"):
        Answers(tuning=True, weights="closed")
