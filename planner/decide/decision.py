"""Choosing: what the answers leave, in which order, what was ruled out by which answer, and what would change it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from planner.decide.answers import Answers
from planner.decide.candidate import Candidate
from planner.decide.criteria import CRITERIA, UNKNOWN, quality

_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RuledOut:
    """A candidate that the answers exclude: the first answer that did, and why."""

    candidate: Candidate
    key: str
    why: str

    @property
    def is_unknown(self) -> bool:
        """Whether only a missing fact stands against it."""
        return self.why.startswith(UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Another answer to one question, and whom it would put first."""

    key: str
    value: Any
    first: Candidate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The short list, best first."""

    answers: Answers
    listed: tuple[Candidate, ...]
    n_left: int
    ruled_out: tuple[RuledOut, ...]
    changes: tuple[Change, ...]

    @property
    def first(self) -> Candidate | None:
        """What to try first."""
        return self.listed[0] if self.listed else None

    @property
    def ruled_out_by(self) -> tuple[tuple[str, int], ...]:
        """How many each answer excluded, most first."""
        return tuple(Counter(one.key for one in self.ruled_out).most_common())


def decide(answers: Answers, candidates: Sequence[Candidate]) -> Decision:
    """Who is left, in order, and whom other answers would have put first."""
    left, ruled_out = _sifted(answers, candidates)
    ordered = in_order(answers, left)
    first = ordered[0] if ordered else None
    changes = []
    for key, value in _other_answers(answers):
        try:
            other = replace(answers, **{key: value})
        except ValueError:
            continue  # answers that do not go together
        others = in_order(other, _sifted(other, candidates)[0])
        if others and (first is None or others[0].id != first.id):
            changes.append(Change(key=key, value=value, first=others[0]))
    return Decision(
        answers=answers,
        listed=tuple(ordered[:_SHOWN]),
        n_left=len(ordered),
        ruled_out=tuple(ruled_out),
        changes=tuple(changes),
    )


def in_order(answers: Answers, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Best first.

    By quality: the benchmark's score. By cost or speed: first those that no other beats in score and cost (or speed) at
    once, from the cheapest (fastest) up. Who has no score comes after those who have one. Among likes: models for code
    where it is about code, then the larger, then the newer.
    """
    front = set() if answers.priority == "quality" else _front(answers, candidates)
    return sorted(candidates, key=lambda one: _rank(answers, one, one.id in front))


def _rank(answers: Answers, one: Candidate, is_on_front: bool) -> tuple[Any, ...]:
    score = -(one.score if one.score is not None else float("-inf"))
    likes = (answers.code and not one.is_for_code, -(one.n_parameters or 0), _newest_first(one), one.id)
    if answers.priority == "quality":
        return (one.score is None, score, *likes)
    burden = _burden(answers, one)
    return (not is_on_front, one.score is None, burden is None, burden or 0.0, score, *likes)


def _newest_first(one: Candidate) -> tuple[int, ...]:
    return tuple(-ord(char) for char in one.released or "")


def _burden(answers: Answers, one: Candidate) -> float | None:
    """What is to be small: dollars a month, or seconds per token. Own machines cost nothing more here."""
    own = one.own
    if answers.priority == "speed":
        return None if own is None or own.tokens_per_s is None else 1 / own.tokens_per_s.expected
    if answers.data == "own":
        # Bought or not, a machine's cost is the same for all; time on it is what a task costs.
        return None if own is None or own.tokens_per_s is None else 1 / own.tokens_per_s.expected
    api = one.cheapest_api
    return None if api is None else api.usd_per_month


def _front(answers: Answers, candidates: Sequence[Candidate]) -> set[str]:
    """Those with a score and a burden that nobody beats in both."""
    known = []
    for one in candidates:
        burden = _burden(answers, one)
        if one.score is not None and burden is not None:
            known.append((burden, -one.score, one.id))
    front: set[str] = set()
    best = float("inf")
    for _, negated, id_ in sorted(known):
        if negated < best:
            front.add(id_)
            best = negated
    return front


def _sifted(answers: Answers, candidates: Sequence[Candidate]) -> tuple[list[Candidate], list[RuledOut]]:
    best = max((one.score for one in candidates if one.score is not None), default=None)
    left, out = [], []
    for one in candidates:
        failed = _first_failed(answers, one, best)
        if failed is None:
            left.append(one)
        else:
            out.append(failed)
    return left, out


def _first_failed(answers: Answers, one: Candidate, best_score: float | None) -> RuledOut | None:
    for key, criterion in CRITERIA:
        why = criterion(answers, one)
        if why is not None:
            return RuledOut(candidate=one, key=key, why=why)
    why = quality(answers, one, best_score)
    return None if why is None else RuledOut(candidate=one, key="difficulty", why=why)


def _other_answers(answers: Answers) -> list[tuple[str, Any]]:
    """One answer changed at a time, of those that cost nothing to ask again."""
    choices: dict[str, tuple[Any, ...]] = {
        "data": ("anywhere", "own"), "weights": ("either", "open", "closed"), "reasoning": ("none", "some"),
        "difficulty": ("easy", "medium", "hard"), "priority": ("quality", "cost", "speed"), "flow": ("single", "agent"), "tuning": (False, True),
        "commercial": (True, False), "code": (False, True),
    }  # fmt: skip
    other = [
        (key, value) for key, values in choices.items() for value in values if value != getattr(answers, key)
    ]
    if answers.reasoning == "much":
        other = [(key, value) for key, value in other if (key, value) != ("reasoning", "some")]
    return [*other, ("context_tokens", answers.context_tokens * 8)]
