"""Decoding for several people at once (`llama-server --parallel`): all tokens per second, and each one's."""

from dataclasses import dataclass

from hardware.spec import Machine
from planner.estimate.described_model import DescribedModel
from planner.estimate.placement import Placement
from planner.estimate.speed import SpeedFacts, decode_speed
from planner.estimate.term import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class TogetherSpeed:
    """So many sequences decoding at once: tokens per second of all of them, contexts empty and full."""

    n_sequences: int
    tokens_per_s: Interval
    tokens_per_s_full: Interval

    @property
    def each_tokens_per_s(self) -> float:
        """What one of them sees, contexts empty."""
        return self.tokens_per_s.expected / self.n_sequences

    @property
    def each_tokens_per_s_full(self) -> float:
        """What one of them sees once every context is full."""
        return self.tokens_per_s_full.expected / self.n_sequences


def together_speeds(
    model: DescribedModel, placement: Placement, machine: Machine, facts: SpeedFacts
) -> tuple[TogetherSpeed, ...]:
    """1, 2, 4 … up to the sequences that the flags ask for; none for a single one, or where a fact is missing.

    The context is shared out evenly, as the server does.
    """
    most = placement.flags.n_sequences
    if most == 1:
        return ()
    share = placement.flags.n_context_tokens // most
    found = []
    for n in _counts(most):
        empty = decode_speed(model, placement, machine, facts, 0, n).tokens_per_s
        full = decode_speed(model, placement, machine, facts, share, n).tokens_per_s
        if empty is None or full is None:
            return ()  # the row's decode speed says which fact it is
        found.append(TogetherSpeed(n_sequences=n, tokens_per_s=empty, tokens_per_s_full=full))
    return tuple(found)


def _counts(most: int) -> tuple[int, ...]:
    powers = tuple(2**i for i in range(most.bit_length()) if 2**i < most)
    return (*powers, most)
