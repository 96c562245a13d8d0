"""A choice among models, said: who comes first and how to run it, what ruled the others out, what would change it."""

from typing import Any, Final

from planner.decide.candidate import Candidate, Way
from planner.decide.decision import Decision
from planner.decide.questions import QUESTIONS, as_given
from planner.report.document import Document, Table, listed
from planner.workload.workload import Workload

_ASKED: Final = {question.key: question.ask for question in QUESTIONS}
_WORDS: Final = {
    "data": "data may leave or not", "weights": "open or closed weights", "modalities": "what goes in",
    "context_tokens": "context", "reasoning": "thinking", "flow": "tools", "tuning": "tuning",
    "commercial": "the licence", "tokens_per_s": "speed", "availability": "no way to have it",
    "difficulty": "quality", "priority": "what counts most", "code": "code",
}  # fmt: skip
_MAX_UNKNOWN: Final = 8


def decide_document(decision: Decision, workload: Workload, score_name: str | None) -> Document:
    """The short list first, then why, then the commands that come next."""
    first = decision.first
    rows = tuple(_row(one, decision) for one in decision.listed)
    return Document(
        schema="planner.decide/1",
        title="A choice of model",
        answer=_answer(decision),
        tables=(
            Table(
                title=f"Of {decision.n_left} that are left" if decision.n_left > len(rows) else "All that are left",
                headers=("model", "weights", "score", "API $ a month", "at", "own tok/s"),
                rows=rows,
                right=(2, 3, 5),
            ),
            Table(
                title="What decides it",
                headers=("your answer on", "rules out"),
                rows=tuple((_WORDS.get(key, key), n) for key, n in decision.ruled_out_by),
                right=(1,),
            ),
            Table(
                title="What would change it",
                headers=("if the answer were", "first would be"),
                rows=tuple(
                    (f"{_WORDS.get(one.key, one.key)}: {_said(one.value)}", one.first.name)
                    for one in decision.changes
                    if one.first is not None
                ),
            ),
        ),
        commands=() if first is None else tuple(dict.fromkeys(way.command for way in _ways(first, decision))),
        notes=_notes(decision, workload, score_name),
        data=_data(decision, workload, score_name),
    )  # fmt: skip


def _answer(decision: Decision) -> tuple[str, ...]:
    first = decision.first
    if first is None:
        (key, n) = decision.ruled_out_by[0]
        return (f"No model is left: {_WORDS.get(key, key)} alone rules out {n}. The table says which answer to give way on.",)  # fmt: skip
    sentences = [f"Try {first.name} first{_how(first, decision)}."]
    if first.score is None:
        sentences.append(
            "No benchmark score of it is known here, so its quality is for your own evaluation to say."
        )
    if decision.answers.flow == "agent":
        sentences.append("An agent decides itself how often it calls: give it a step limit and a budget.")
    return tuple(sentences)


def _how(one: Candidate, decision: Decision) -> str:
    own, api = one.own, one.cheapest_api
    parts = []
    if own is not None:
        speed = "" if own.tokens_per_s is None else f" at about {own.tokens_per_s.expected:.3g} tokens/s"
        parts.append(f"on {own.where} ({own.note}){speed}")
    if api is not None and api.usd_per_month is not None and decision.answers.data == "anywhere":
        parts.append(f"through {api.where} for ${api.usd_per_month:,.2f} a month")
    if not parts:
        return ", on machines that have to be found for it"
    return f", {' or '.join(parts)}"


def _ways(one: Candidate, decision: Decision) -> tuple[Way, ...]:
    return tuple(way for way in one.ways if way.kind != "api" or decision.answers.data == "anywhere")


def _row(one: Candidate, decision: Decision) -> tuple[str, ...]:
    api = one.cheapest_api if decision.answers.data == "anywhere" else None
    own = one.own
    speed = "–"
    if own is not None:
        at = own.tokens_per_s
        speed = "fits" if at is None else f"{at.expected:.3g} ({at.low:.3g}–{at.high:.3g})"
    return (
        one.name,
        "open" if one.is_open else "closed",
        "–" if one.score is None else f"{one.score:.3g}",
        "–" if api is None or api.usd_per_month is None else f"{api.usd_per_month:,.2f}",
        "–" if api is None else api.where,
        speed,
    )


def _notes(decision: Decision, workload: Workload, score_name: str | None) -> tuple[str, ...]:
    unknown = [one for one in decision.ruled_out if one.is_unknown]
    notes = [
        f"a task is one of the workload {workload.name}, {decision.answers.tasks_per_month:,.0f} of them a month",
        "scores are of "
        + (score_name or "no benchmark: none is known")
        + "; a benchmark is a start, your own evaluation decides",
    ]
    if unknown:
        names = listed([f"{one.candidate.name} ({one.why})" for one in unknown[:_MAX_UNKNOWN]])
        more = f", and {len(unknown) - _MAX_UNKNOWN} more" if len(unknown) > _MAX_UNKNOWN else ""
        notes.append(f"left out only because a fact is missing: {names}{more}")
    return tuple(notes)


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _data(decision: Decision, workload: Workload, score_name: str | None) -> dict[str, Any]:
    return {
        "answers": as_given(decision.answers),
        "questions": _ASKED,
        "workload": workload.name,
        "score": score_name,
        "n_left": decision.n_left,
        "listed": [_candidate(one) for one in decision.listed],
        "ruled_out": [
            {"id": one.candidate.id, "by": one.key, "why": one.why, "is_unknown": one.is_unknown}
            for one in decision.ruled_out
        ],
        "changes": [
            {"key": one.key, "value": one.value, "first": None if one.first is None else one.first.id}
            for one in decision.changes
        ],
    }


def _candidate(one: Candidate) -> dict[str, Any]:
    return {
        "id": one.id, "name": one.name, "is_open": one.is_open, "licence": one.licence, "score": one.score,
        "context_tokens": one.context_tokens, "modalities": one.modalities,
        "ways": [
            {
                "kind": way.kind, "where": way.where, "usd_per_month": way.usd_per_month, "command": way.command,
                "note": way.note,
                "tokens_per_s": None if way.tokens_per_s is None else
                {"low": way.tokens_per_s.low, "expected": way.tokens_per_s.expected, "high": way.tokens_per_s.high},
            }
            for way in one.ways
        ],
    }  # fmt: skip
