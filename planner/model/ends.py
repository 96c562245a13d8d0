"""A whole number known at both ends of a range, for rules whose result is a straight line in between.

Rules for memory add, multiply and compare sizes. Run on `Ends` instead of on one context, they give a size at both
ends; where every comparison on the way comes out alike at both, it comes out so at every context between them, since
all that is compared is straight there. Then the rules took the same branches all along, and their result is
straight too. A comparison that comes out differently raises `BendError`, with where the two sides meet.

Holds for sums, differences, products by numbers that are the same at both ends, and divisions that leave no rest.
"""

from typing import Any, Final


class BendError(Exception):
    """Two sides change order between the ends: `share` is how far along they meet, 0 to 1."""

    def __init__(self, share: float) -> None:
        super().__init__(f"bends at {share:.3f} of the range")
        self.share = share


class NotStraightError(Exception):
    """A rule makes something of a number that is not straight between its ends."""


class Ends:
    """A whole number at the low and the high end of a range."""

    __slots__ = ("high", "low")

    def __init__(self, low: int, high: int) -> None:
        self.low: Final = low
        self.high: Final = high

    def __repr__(self) -> str:
        return f"Ends({self.low}, {self.high})"

    def __hash__(self) -> int:
        return hash((self.low, self.high))

    def __add__(self, other: Any) -> "Ends":
        if isinstance(other, Ends):
            return Ends(self.low + other.low, self.high + other.high)
        return Ends(self.low + other, self.high + other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> "Ends":
        if isinstance(other, Ends):
            return Ends(self.low - other.low, self.high - other.high)
        return Ends(self.low - other, self.high - other)

    def __rsub__(self, other: int) -> "Ends":
        return Ends(other - self.low, other - self.high)

    def __mul__(self, other: Any) -> "Ends":
        if isinstance(other, Ends):  # straight only where one of them does not change
            if other.low != other.high and self.low != self.high:
                raise NotStraightError("a product of two sizes that both change is not straight")
            return Ends(self.low * other.low, self.high * other.high)
        return Ends(self.low * other, self.high * other)

    __rmul__ = __mul__

    def __neg__(self) -> "Ends":
        return Ends(-self.low, -self.high)

    def __floordiv__(self, other: int) -> "Ends":
        if self.low % other != self.high % other:
            raise NotStraightError(f"{self} divided by {other} is not straight")
        return Ends(self.low // other, self.high // other)

    def __mod__(self, other: int) -> "int | Ends":
        low, high = self.low % other, self.high % other
        return low if low == high else Ends(low, high)

    def __bool__(self) -> bool:
        return self != 0

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Ends):
            return _alike(
                self.low == other.low, self.high == other.high, self.low - other.low, self.high - other.high
            )
        if not isinstance(other, int):
            return NotImplemented
        return _alike(self.low == other, self.high == other, self.low - other, self.high - other)

    def __lt__(self, other: Any) -> bool:
        low, high = (other.low, other.high) if isinstance(other, Ends) else (other, other)
        return _alike(self.low < low, self.high < high, self.low - low, self.high - high)

    def __le__(self, other: Any) -> bool:
        low, high = (other.low, other.high) if isinstance(other, Ends) else (other, other)
        return _alike(self.low <= low, self.high <= high, self.low - low, self.high - high)

    def __gt__(self, other: Any) -> bool:
        low, high = (other.low, other.high) if isinstance(other, Ends) else (other, other)
        return _alike(self.low > low, self.high > high, self.low - low, self.high - high)

    def __ge__(self, other: Any) -> bool:
        low, high = (other.low, other.high) if isinstance(other, Ends) else (other, other)
        return _alike(self.low >= low, self.high >= high, self.low - low, self.high - high)


def _alike(at_low: bool, at_high: bool, difference_low: int, difference_high: int) -> bool:
    """What a comparison says at both ends; raises BendError where it says two things."""
    if at_low is not at_high:
        raise BendError(difference_low / (difference_low - difference_high))
    return at_low
