"""Matching module names against the exclusion patterns of quantization configs, in time linear in the name.

Patterns come from files, and Python's `re` can be made to run for years by a short pattern. So the part of
regular expressions that configs use is understood here and run as a set of states, one step per character;
a pattern outside that part is refused by name.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from planner.errors import MalformedError

LONGEST_PATTERN: Final = 600
_MOST_STATES: Final = 4_000
_MOST_REPEATS: Final = 64
_MOST_STEPS: Final = 20_000
_MOST_BRACKETS: Final = 40
_CLASSES: Final = {
    "d": frozenset("0123456789"),
    "w": frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"),
}


@dataclass(slots=True)
class _State:
    """A state of the machine: characters that lead on, and states reached without one."""

    chars: frozenset[str] | None = None  # None: any character
    negated: bool = False
    consumes: bool = False
    at_end: bool = False  # passes only where the name ends
    next: list[int] = field(default_factory=list)


class NamePattern:
    """One regular expression over module names."""

    def __init__(self, text: str):
        if len(text) > LONGEST_PATTERN:
            raise MalformedError(
                f"quantization_config has a name pattern of {len(text):,} characters, expected at most "
                f"{LONGEST_PATTERN}"
            )
        self.text = text
        if text.count("(") > _MOST_BRACKETS:
            raise self._refusal(f"more than {_MOST_BRACKETS} brackets")
        self._states: list[_State] = []
        self._at = 0
        start, end = self._alternatives()
        if self._at != len(text):
            raise self._refusal("a closing bracket without its opening one")
        self._end = self._add(_State())
        self._states[end].next.append(self._end)
        self._first = self._closure({start}, at_end=False)
        self._steps: dict[tuple[frozenset[int], str], frozenset[int]] = {}

    def match(self, name: str, *, whole: bool = False) -> bool:
        """Whether the pattern matches at the start of `name`, or all of it where `whole`."""
        current = self._first
        for char in name:
            if not whole and self._end in current:
                return True
            if not current:
                return False
            step = self._steps.get((current, char))
            if step is None:
                step = self._step(current, char)
            current = step
        return self._end in self._closure(current, at_end=True)

    def _step(self, current: frozenset[int], char: str) -> frozenset[int]:
        """The states after one more character; remembered, since names of a model are much alike."""
        after: set[int] = set()
        for index in current:
            state = self._states[index]
            if state.consumes and (state.chars is None or (char in state.chars) is not state.negated):
                after.update(state.next)
        found = self._closure(after, at_end=False)
        if len(self._steps) >= _MOST_STEPS:
            self._steps.clear()
        self._steps[current, char] = found
        return found

    def _closure(self, states: Iterable[int], *, at_end: bool) -> frozenset[int]:
        """The states reached without a character; a $ lets through only at the end."""
        waiting, found = list(states), set[int]()
        while waiting:
            index = waiting.pop()
            if index in found:
                continue
            found.add(index)
            state = self._states[index]
            if not state.consumes and (at_end or not state.at_end):
                waiting += state.next
        return frozenset(found)

    def _refusal(self, what: str) -> MalformedError:
        shown = self.text if len(self.text) <= 60 else self.text[:57] + "…"
        return MalformedError(
            f"quantization_config has the name pattern {shown!r} with {what}, which this planner does not run; "
            "write it with . * + ? | () [] or as plain names"
        )

    def _add(self, state: _State) -> int:
        if len(self._states) >= _MOST_STATES:
            raise self._refusal("too many parts")
        self._states.append(state)
        return len(self._states) - 1

    def _peek(self) -> str:
        return self.text[self._at : self._at + 1]

    def _alternatives(self) -> tuple[int, int]:
        start, end = self._add(_State()), self._add(_State())
        while True:
            first, last = self._sequence()
            self._states[start].next.append(first)
            self._states[last].next.append(end)
            if self._peek() != "|":
                return start, end
            self._at += 1

    def _sequence(self) -> tuple[int, int]:
        start = last = self._add(_State())
        while self._peek() not in ("", "|", ")"):
            begin = self._at
            first, end = self._atom()
            first, end = self._repeated(begin, first, end)
            self._states[last].next.append(first)
            last = end
        return start, last

    def _repeated(self, begin: int, first: int, end: int) -> tuple[int, int]:
        """Applies the quantifiers that follow an atom."""
        mark = self._peek()
        if mark not in ("*", "+", "?", "{") or not mark:
            return first, end
        after = self._at
        if mark == "{":
            return self._counted(begin, first, end)
        self._at += 1
        if self._peek() == "?":  # lazy: which match is found differs, whether there is one does not
            self._at += 1
        out = self._add(_State())
        start = first if mark == "+" else self._add(_State(next=[first, out]))
        self._states[end].next.append(out)
        if mark != "?":
            self._states[end].next.append(first)
        if self._peek() in ("*", "+", "{"):
            self._at = after
            raise self._refusal("a repeat of a repeat")
        return start, out

    def _counted(self, begin: int, first: int, end: int) -> tuple[int, int]:
        atom_end = self._at
        close = self.text.find("}", self._at)
        low, comma, high = self.text[self._at + 1 : close].partition(",") if close > 0 else ("", "", "")
        if not low.isascii() or not low.isdigit() or (high and not (high.isascii() and high.isdigit())):
            raise self._refusal("a repeat that is not {n} or {n,m}")
        if len(low) > 3 or len(high) > 3 or (comma and not high):
            raise self._refusal("a repeat without a small limit")
        least, most = int(low), int(high) if comma else int(low)
        if not 1 <= most <= _MOST_REPEATS or least > most:
            raise self._refusal("a repeat without a small limit")
        ends = [end] if least <= 1 else []
        start, last = first, end
        for n in range(2, most + 1):
            self._at = begin
            again, last_again = self._atom()
            if self._at != atom_end:
                raise self._refusal("a repeat this planner cannot copy")
            self._states[last].next.append(again)
            last = last_again
            if n >= least:
                ends.append(last)
        self._at = close + 1
        out = self._add(_State())
        for each in ends:
            self._states[each].next.append(out)
        if least == 0:
            start = self._add(_State(next=[first, out]))
        return start, out

    def _atom(self) -> tuple[int, int]:
        char = self._peek()
        self._at += 1
        if char == "(":
            return self._group()
        if char == "[":
            return self._class()
        if char == ".":
            return self._one(None)
        if char == "^":
            if self._at != 1:
                raise self._refusal("a ^ that is not at its start")
            index = self._add(_State())
            return index, index
        if char == "$":
            index = self._add(_State(at_end=True))
            return index, index
        if char == "\\":
            return self._escape()
        if char in ("*", "+", "?", "{"):
            raise self._refusal("a repeat of nothing")
        return self._one(frozenset(char))

    def _one(self, chars: frozenset[str] | None, *, negated: bool = False) -> tuple[int, int]:
        out = self._add(_State())
        return self._add(_State(chars=chars, negated=negated, consumes=True, next=[out])), out

    def _escape(self) -> tuple[int, int]:
        char = self._peek()
        self._at += 1
        if char in _CLASSES:
            return self._one(_CLASSES[char])
        if not char or char.isalnum():
            raise self._refusal(f"the escape \\{char}")
        return self._one(frozenset(char))

    def _group(self) -> tuple[int, int]:
        if self._peek() == "?":
            if self.text[self._at : self._at + 2] != "?:":
                raise self._refusal("a look-around or named group")
            self._at += 2
        start, end = self._alternatives()
        if self._peek() != ")":
            raise self._refusal("an unclosed bracket")
        self._at += 1
        return start, end

    def _class(self) -> tuple[int, int]:
        negated = self._peek() == "^"
        self._at += negated
        close = self.text.find("]", self._at + 1)
        if close < 0:
            raise self._refusal("an unclosed [")
        body = self.text[self._at : close]
        self._at = close + 1
        chars: set[str] = set()
        i = 0
        while i < len(body):
            if body[i] == "\\" and i + 1 < len(body):
                if body[i + 1].isalnum() and body[i + 1] not in _CLASSES:
                    raise self._refusal(f"the escape \\{body[i + 1]}")
                chars |= _CLASSES.get(body[i + 1], {body[i + 1]})
                i += 2
            elif i + 2 < len(body) and body[i + 1] == "-" and ord(body[i]) <= ord(body[i + 2]) < 128:
                chars |= {chr(code) for code in range(ord(body[i]), ord(body[i + 2]) + 1)}
                i += 3
            else:
                chars.add(body[i])
                i += 1
        return self._one(frozenset(chars), negated=negated)


@lru_cache(maxsize=4096)
def compiled(text: str) -> NamePattern:
    """The pattern of a text; raises MalformedError for one that is not understood."""
    return NamePattern(text)


def glob_match(pattern: str, name: str) -> bool:
    """Whether a pattern in which * stands for any characters matches all of `name`."""
    head, *middle = pattern.split("*")
    if not middle:
        return pattern == name
    tail = middle.pop()
    if not name.startswith(head) or not name.endswith(tail) or len(name) < len(head) + len(tail):
        return False
    at, end = len(head), len(name) - len(tail)
    for part in middle:
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
