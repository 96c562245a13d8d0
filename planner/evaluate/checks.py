"""Whether an answer solves a task: one small check of each kind, over the text alone. Nothing in an answer is run."""

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

LONGEST_ANSWER: Final = 200_000  # characters that are looked at
_NUMBER: Final = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d{1,3})?")
_FENCE: Final = re.compile(r"```(?:json)?\s*(.*?)```", re.DOTALL)
_THOUGHT: Final = re.compile(r"<think>.*?</think>", re.DOTALL)

Check = Callable[[str], bool]
Maker = Callable[[Mapping[str, Any]], Check]


def check_of(wanted: Mapping[str, Any]) -> Check:
    """The check that a task asks for, such as {"contains": "Paris"}; raises ValueError for one that is not understood."""
    kinds = [kind for kind in KINDS if kind in wanted]
    extra = set(wanted) - set(KINDS) - _SETTINGS
    if len(kinds) != 1 or extra:
        raise ValueError(
            f"a check is one of {', '.join(KINDS)}, with {', '.join(sorted(_SETTINGS))} where they apply"
        )
    inner = KINDS[kinds[0]](wanted)
    return lambda answer: inner(visible(answer))


def visible(answer: str) -> str:
    """What a person would read: without thoughts between marks, cut at a length."""
    return _THOUGHT.sub("", answer[:LONGEST_ANSWER]).strip()


def _exact(wanted: Mapping[str, Any]) -> Check:
    texts = _texts(wanted["exact"])
    return lambda answer: _plain(answer, wanted) in {_plain(text, wanted) for text in texts}


def _contains(wanted: Mapping[str, Any]) -> Check:
    """All of the texts."""
    texts = _texts(wanted["contains"])
    return lambda answer: all(_plain(text, wanted) in _plain(answer, wanted) for text in texts)


def _contains_any(wanted: Mapping[str, Any]) -> Check:
    texts = _texts(wanted["contains_any"])
    return lambda answer: any(_plain(text, wanted) in _plain(answer, wanted) for text in texts)


def _number(wanted: Mapping[str, Any]) -> Check:
    """The last number of the answer, within a relative tolerance."""
    value, tolerance = wanted["number"], wanted.get("tolerance", 0.0)
    for figure in (value, tolerance):
        if isinstance(figure, bool) or not isinstance(figure, (int, float)) or not math.isfinite(figure):
            raise ValueError("a number to check against, and its tolerance, are finite numbers")

    def check(answer: str) -> bool:
        found = _NUMBER.findall(answer)
        return bool(found) and math.isclose(
            float(found[-1].replace(",", "")),
            value,
            rel_tol=tolerance,
            abs_tol=tolerance if value == 0 else 0.0,
        )

    return check


def _matches(wanted: Mapping[str, Any]) -> Check:
    (text,) = _texts(wanted["matches"])
    try:
        pattern = re.compile(text, 0 if wanted.get("case") else re.IGNORECASE)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from error
    return lambda answer: pattern.search(answer) is not None


def _json(wanted: Mapping[str, Any]) -> Check:
    """JSON, alone or in a fence, that holds what is wanted; what it holds besides does not matter."""
    part = wanted["json"]

    def check(answer: str) -> bool:
        fenced = _FENCE.search(answer)
        try:
            return _holds(json.loads(fenced[1] if fenced else answer), part)
        except (ValueError, RecursionError):
            return False

    return check


def _holds(found: Any, part: Any) -> bool:
    if isinstance(part, Mapping):
        return isinstance(found, dict) and all(
            key in found and _holds(found[key], inner) for key, inner in part.items()
        )
    if isinstance(part, list):
        return isinstance(found, list) and len(found) == len(part) and all(map(_holds, found, part))
    return bool(found == part) and isinstance(found, bool) == isinstance(part, bool)


def _texts(value: Any) -> tuple[str, ...]:
    texts = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else ()
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise ValueError("a check of texts holds one text, or a list of them")
    return texts


def _plain(text: str, wanted: Mapping[str, Any]) -> str:
    """With one space between words, and without case unless it counts."""
    line = " ".join(text.split())
    return line if wanted.get("case") else line.casefold()


KINDS: Final[Mapping[str, Maker]] = {
    "exact": _exact, "contains": _contains, "contains_any": _contains_any, "number": _number, "matches": _matches,
    "json": _json,
}  # fmt: skip
_SETTINGS: Final = frozenset({"case", "tolerance"})
