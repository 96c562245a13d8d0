"""Sizes that are straight lines between bends: found exactly by running a rule on whole ranges, evaluated at once."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from planner.model.ends import BendError, Ends

Sizes = tuple[Any, ...]  # whole numbers, or `Ends` of them
Rule = Callable[[Any], Sizes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """The last step of a stretch, the sizes there, and what each grows by from step to step within it."""

    last: int
    at_last: tuple[int, ...]
    slopes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Straight:
    """Several sizes over whole steps from `first` on, as pieces that follow each other."""

    first: int
    pieces: tuple[Piece, ...]

    @property
    def last(self) -> int:
        """The last step that is known."""
        return self.pieces[-1].last

    def at(self, step: int) -> tuple[int, ...]:
        """The sizes at one step; raises ValueError outside of what is known."""
        if not self.first <= step <= self.last:
            raise ValueError(f"step {step} is outside {self.first} to {self.last}")
        piece = self.pieces[bisect_left([one.last for one in self.pieces], step)]
        back = piece.last - step
        return tuple(size - back * slope for size, slope in zip(piece.at_last, piece.slopes, strict=True))


def straight_pieces(rule: Rule, first: int, last: int) -> Straight:
    """A rule's sizes at every step from first to last, by running it on ranges that are halved where it bends."""
    found: list[Piece] = []
    todo = [(first, last)]
    while todo:
        low, high = todo.pop()
        if low == high:
            sizes = tuple(int(size) for size in rule(low))
            found.append(Piece(last=low, at_last=sizes, slopes=(0,) * len(sizes)))
            continue
        try:
            ends = rule(Ends(low, high))
        except BendError as bend:
            middle = min(max(low + int((high - low) * bend.share), low), high - 1)
            todo += [(middle + 1, high), (low, middle)]
            continue
        found.append(_piece(ends, low, high))
    return Straight(first=first, pieces=_joined(found, first))


def _piece(ends: Sequence[Any], low: int, high: int) -> Piece:
    last: list[int] = []
    slopes: list[int] = []
    for size in ends:
        at_low, at_high = (size.low, size.high) if isinstance(size, Ends) else (int(size), int(size))
        slope, rest = divmod(at_high - at_low, high - low)
        if rest:
            raise ValueError(
                f"{at_low} and {at_high} are no straight line of whole numbers over {high - low} steps"
            )
        last.append(at_high)
        slopes.append(slope)
    return Piece(last=high, at_last=tuple(last), slopes=tuple(slopes))


def _joined(pieces: Sequence[Piece], first: int) -> tuple[Piece, ...]:
    """Pieces that lie on one line made one: rules branch at many places without the result bending."""
    found: list[Piece] = []
    for piece in pieces:
        if found:
            start = found[-2].last + 1 if len(found) > 1 else first
            joined = _on_one_line(found[-1], piece, start)
            if joined is not None:
                found[-1] = joined
                continue
        found.append(piece)
    return tuple(found)


def _on_one_line(before: Piece, after: Piece, start: int) -> Piece | None:
    """Both as one piece, if the later one goes on as the earlier does; a single step has any slope."""
    n = after.last - before.last
    slopes = []
    for old, new, a, b in zip(before.at_last, after.at_last, before.slopes, after.slopes, strict=True):
        slope, rest = divmod(new - old, n)
        if rest or (before.last > start and slope != a) or (n > 1 and slope != b):
            return None
        slopes.append(slope)
    return Piece(last=after.last, at_last=after.at_last, slopes=tuple(slopes))
