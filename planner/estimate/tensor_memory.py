"""Memory of a tensor split: every GPU holds its share of each layer's weights and cache."""

from collections.abc import Sequence
from dataclasses import replace

from planner.estimate.term import Term, total

_WHOLE = frozenset(("compute", "engine and driver"))  # on every GPU, however the rest is divided


def shares_of(capacities: Sequence[int], given: tuple[float, ...] | None) -> tuple[float, ...]:
    """The GPUs' shares of a model: those that were given, or of their free memory; they add up to 1."""
    parts = [float(max(capacity, 0)) for capacity in capacities]
    if given is not None and any(given):
        parts = [*given, *(0.0 for _ in capacities)][: len(capacities)]
    whole = sum(parts) or 1.0
    return tuple(part / whole for part in parts)


def divided(by_gpu: Sequence[tuple[Term, ...]], shares: Sequence[float]) -> tuple[tuple[Term, ...], ...]:
    """The terms of GPUs in a layer split, all but compute buffers laid out anew in shares.

    Norms, which every GPU holds whole, and heads that do not divide evenly are left out: they are far below 1 %.
    """
    ones: dict[str, list[Term]] = {}
    for terms in by_gpu:
        for term in terms:
            ones.setdefault(term.name, []).append(term)
    return tuple(
        tuple(
            found[0]
            if name in _WHOLE
            else replace(
                found[0],
                value=share * total(found),
                source=f"{share:.0%} of every layer",
            )
            for name, found in ones.items()
        )
        if share
        else ()
        for share in shares
    )
