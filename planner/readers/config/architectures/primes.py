"""Primes in order from a number on: sizes of hashed embedding tables."""

from collections.abc import Iterator
from typing import Final

# Strong probable primes to all of these bases are primes below 3.4e14 (Jaeschke 1993, doi:10.2307/2153262).
_BASES: Final = (2, 3, 5, 7, 11, 13, 17)
_PROVEN_BELOW: Final = 341_550_071_728_321


def primes_from(start: int) -> Iterator[int]:
    """The primes that are at least `start`, in order, as long as the test is a proof."""
    candidate = max(start, 2)
    while candidate < _PROVEN_BELOW:
        if _is_prime(candidate):
            yield candidate
        candidate += 1


def _is_prime(n: int) -> bool:
    """Miller–Rabin with bases that leave no exception in the range."""
    if n in _BASES:
        return True
    if any(n % base == 0 for base in _BASES):
        return False
    odd, twos = n - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in _BASES:
        power = pow(base, odd, n)
        if power in (1, n - 1):
            continue
        for _ in range(twos - 1):
            power = power * power % n
            if power == n - 1:
                break
        else:
            return False
    return True
