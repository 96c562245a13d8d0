"""The rate of steps with several tokens on a placed model, tied to what one token at a time reaches there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hardware.spec import Machine
from planner.estimate.modelled_speed import ModelledSpeed, Rates, modelled_decode
from planner.estimate.placement import Placement
from planner.estimate.term import Interval
from planner.speed.factors import Factors
from planner.speed.intervals import Spread
from planner.speed.work import ModelWork


@dataclass(frozen=True, slots=True)
class Bounds:
    """Tokens per second, with their 80 % interval; arrays where depths, batches or models are."""

    low: Any
    expected: Any
    high: Any

    @classmethod
    def of(cls, found: Interval | Rates) -> "Bounds":
        """The numbers alone."""
        return cls(found.low, found.expected, found.high)


def tied(single: Bounds, one: Bounds, many: Bounds, n_tokens: Any) -> Bounds:
    """Steps of `n_tokens` that take longer than `single` by what the model has `many` take longer than `one`.

    Broadcasts. Bounds are those of `many`, of which a batch's doubts are part.
    """
    expected = n_tokens / (1 / single.expected + n_tokens / many.expected - 1 / one.expected)
    return Bounds(
        low=expected * (many.low / many.expected),
        expected=expected,
        high=expected * (many.high / many.expected),
    )


def several_tokens(
    work: ModelWork,
    placement: Placement,
    machine: Machine,
    factors: Factors,
    spreads: Sequence[Spread],
    single: Interval,
    depth_tokens: int,
    n_sequences: int,
    n_new_tokens: int,
) -> tuple[Interval, ModelledSpeed]:
    """Tokens per second of steps with `n_new_tokens` for each of `n_sequences`, all counted; and the modelled step.

    `single` is the speed of one token, and carries over what benchmarks here say of it: the model of operators says
    by how much a step of several takes longer. Bounds are the step's own. Raises MissingFactError where
    the operators' factors are unknown.
    """
    one = modelled_decode(work, placement, machine, factors, spreads, depth_tokens).interval
    step = modelled_decode(
        work, placement, machine, factors, spreads, depth_tokens, n_sequences, n_new_tokens
    )
    found = tied(Bounds.of(single), Bounds.of(one), Bounds.of(step.interval), n_sequences * n_new_tokens)
    interval = Interval(
        low=found.low,
        expected=found.expected,
        high=found.high,
        basis=single.basis,
        source=f"{n_sequences * n_new_tokens} tokens a step; {step.interval.source}",
    )
    return interval, step
