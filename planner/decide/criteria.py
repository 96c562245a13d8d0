"""What an answer demands of a candidate. Each criterion says why a candidate fails it, or nothing.

A demand on a fact that nobody knows is not met: the model may well be right, and has to be looked at by hand.
"""

from collections.abc import Callable
from typing import Final

from hardware.units import format_tokens
from planner.decide.answers import LEAST_SCORE, Answers
from planner.decide.candidate import Candidate

Criterion = Callable[[Answers, Candidate], str | None]

UNKNOWN: Final = "not known: "


def data(answers: Answers, candidate: Candidate) -> str | None:
    """Data that stays in the house needs weights that come into it."""
    if answers.data == "own" and not candidate.is_open:
        return "runs only at its maker's, and data may not leave"
    if answers.data == "own" and answers.machine is not None and candidate.own is None:
        return f"does not fit on {answers.machine}, and data may not leave"
    return None


def weights(answers: Answers, candidate: Candidate) -> str | None:
    """Open or closed, as asked."""
    if answers.weights == "either" or candidate.is_open == (answers.weights == "open"):
        return None
    return f"its weights are {'open' if candidate.is_open else 'closed'}"


def modalities(answers: Answers, candidate: Candidate) -> str | None:
    """Everything that goes in must be understood."""
    if candidate.modalities is None:
        return f"{UNKNOWN}what it takes in"
    missing = [word for word in answers.modalities if word not in candidate.modalities]
    return f"does not take {', '.join(missing)}" if missing else None


def context(answers: Answers, candidate: Candidate) -> str | None:
    """Prompt and answer must fit."""
    if candidate.context_tokens is None:
        return f"{UNKNOWN}its context"
    if candidate.context_tokens >= answers.context_tokens:
        return None
    return f"its context ends at {format_tokens(candidate.context_tokens)} tokens"


def reasoning(answers: Answers, candidate: Candidate) -> str | None:
    """Thinking before answering, where a task needs it."""
    if answers.reasoning == "none" or candidate.thinks:
        return None
    return f"{UNKNOWN}whether it thinks" if candidate.thinks is None else "does not think before it answers"


def tools(answers: Answers, candidate: Candidate) -> str | None:
    """An agent acts through tools."""
    if answers.flow != "agent" or candidate.calls_tools:
        return None
    return f"{UNKNOWN}whether it calls tools" if candidate.calls_tools is None else "does not call tools"


def tuning(answers: Answers, candidate: Candidate) -> str | None:
    """Training further needs the weights."""
    return (
        "its weights cannot be had, so it cannot be tuned"
        if answers.tuning and not candidate.is_open
        else None
    )


def commercial(answers: Answers, candidate: Candidate) -> str | None:
    """A licence must allow the use."""
    if not answers.commercial or candidate.commercial in ("yes", "terms"):
        return None
    if candidate.commercial is None:
        return f"{UNKNOWN}whether its licence{f' ({candidate.licence})' if candidate.licence else ''} allows business"
    return f"its licence ({candidate.licence}) does not allow business"


def availability(answers: Answers, candidate: Candidate) -> str | None:
    """There must be a way to it that the answers allow."""
    allowed = [way for way in candidate.ways if answers.data == "anywhere" or way.kind != "api"]
    return None if allowed else "no API of it has a known price, and its weights are closed"


def speed(answers: Answers, candidate: Candidate) -> str | None:
    """Own machines must be fast enough; how fast an API answers is not in any price list."""
    own = candidate.own
    if answers.tokens_per_s is None or answers.data != "own" or own is None:
        return None
    if own.tokens_per_s is None:
        return f"{UNKNOWN}how fast it is on {own.where}"
    if own.tokens_per_s.expected >= answers.tokens_per_s:
        return None
    return f"makes {own.tokens_per_s.expected:.3g} tokens/s on {own.where}"


def quality(answers: Answers, candidate: Candidate, best_score: float | None) -> str | None:
    """A known score must be within reach of the best; who has none is not ruled out, and comes later in the order."""
    if best_score is None or candidate.score is None:
        return None
    least = best_score * LEAST_SCORE[answers.difficulty]
    return f"its score is {candidate.score:.3g}, below {least:.3g}" if candidate.score < least else None


CRITERIA: Final[tuple[tuple[str, Criterion], ...]] = (
    ("weights", weights),
    ("tuning", tuning),
    ("modalities", modalities),
    ("context_tokens", context),
    ("reasoning", reasoning),
    ("flow", tools),
    ("commercial", commercial),
    ("data", data),
    ("tokens_per_s", speed),
    ("availability", availability),
)
