"""The front against its definition, item by item."""

from hypothesis import given
from hypothesis import strategies as st

from planner.sizing.front import front

POINTS = st.lists(st.tuples(*(st.integers(0, 4),) * 3), max_size=12)


@given(POINTS)
def test_the_front_is_what_nothing_beats(points: list[tuple[int, int, int]]) -> None:
    def beats(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
        return a != b and all(x <= y for x, y in zip(a, b, strict=True))

    kept = front(points, lambda point: point)
    assert set(kept) == {point for point in points if not any(beats(other, point) for other in points)}
    assert len(kept) == len(set(kept))  # of equal ones, one
