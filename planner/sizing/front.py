"""Options that no other one beats in everything at once."""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def front(items: Sequence[T], measures: Callable[[T], Sequence[float]]) -> tuple[T, ...]:
    """The items to which no other is at least as good in every measure and better in one; smaller is better.

    Of items that measure alike the first stays.
    """
    found: list[tuple[tuple[float, ...], T]] = []
    for item in items:
        point = tuple(measures(item))
        if any(_is_covered(point, other) for other, _ in found):
            continue
        found = [(other, kept) for other, kept in found if not _is_covered(other, point)]
        found.append((point, item))
    return tuple(item for _, item in found)


def _is_covered(point: tuple[float, ...], by: tuple[float, ...]) -> bool:
    return all(b <= p for p, b in zip(point, by, strict=True))
