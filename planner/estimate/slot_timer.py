"""Steps of llama-server for a simulation: what a batch of generating slots and of prompt tokens takes.

    decode(n)     a + b · tokens in the slots' caches     from the speed of n sequences, caches empty and at a depth
    mixed(n, …)   decode(n + 1) + P                       P reading all tokens of prompts but one

With a cache for each slot, the engine computes a step in parts in which all sequences have as many tokens
(`split_equal` of src/llama-batch.cpp): first one token of each, then the rest of the prompts by themselves, so both
add up; and only sequences with neighbouring numbers, so that idle slots between busy ones part a step. With one cache for all slots (`--kv-unified`) a part holds whatever comes, and the weights are read once.
Every token that is made is then sampled by the server, one slot after the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from hardware.spec import Machine
from planner.errors import MissingFactError
from planner.estimate.described_model import DescribedModel
from planner.estimate.modelled_speed import placed_layout, prefill_case
from planner.estimate.placement import Placement
from planner.estimate.speed import SpeedEstimate, SpeedFacts, decode_speed, prefill_speed
from planner.estimate.term import Interval

Bound = Literal["low", "expected", "high"]
_SHORTEST: Final = (
    32  # tokens of a prompt that are timed as a prompt; fewer run on a line to one token's step
)
_POINTS: Final = 12  # lengths of prompts between which times run on a line
_USUAL_DEPTH: Final = 1024


@dataclass(frozen=True, kw_only=True)
class SlotTimer:
    """Answers `planner.simulate.step_timer.StepTimer` for one llama-server."""

    empty_s: tuple[float, ...]  # of a step that decodes n sequences, for n = 0, 1, 2 …
    cached_token_s: tuple[float, ...]  # more for each token in their caches
    chunk_tokens: tuple[float, ...]
    chunk_s: tuple[float, ...]  # of reading so many tokens behind nothing, their own attention left out
    pair_s: float  # of attention, for each pair of tokens
    sample_s: float  # of the server, for each token made
    is_unified: bool
    _read: dict[int, float] = field(default_factory=dict, compare=False, repr=False)

    def decode(self, n_sequences: int) -> tuple[float, float]:
        """Seconds of a step that decodes n sequences with empty caches, and per token of all their caches."""
        return self.empty_s[n_sequences] + self.sample_s * n_sequences, self.cached_token_s[n_sequences]

    def mixed(
        self, n_sequences: int, cached_tokens: int, chunk_tokens: int, chunk_context_tokens: int
    ) -> float:
        """Seconds of a step that reads tokens of prompts and decodes n sequences."""
        mixing = self.pair_s * chunk_context_tokens + self.cached_token_s[n_sequences] * cached_tokens
        sampled = self.sample_s * (n_sequences + 1)
        if self.is_unified or not n_sequences:
            return self._read_s(chunk_tokens + n_sequences) + mixing + sampled
        # The first token of the prompt is computed with those that decode.
        beside = self.empty_s[min(n_sequences + 1, len(self.empty_s) - 1)]
        return (self._read_s(chunk_tokens - 1) if chunk_tokens > 1 else 0.0) + beside + mixing + sampled

    @property
    def interference(self) -> float:
        """A step is as long for those that generate as for the prompts in it."""
        return 1.0

    def prompts(self, n_waiting: int, chunk_tokens: int, chunk_context_tokens: int) -> float:
        """Seconds of a step that only reads prompts; llama-server has none in which others wait."""
        del n_waiting
        return self.mixed(0, 0, chunk_tokens, chunk_context_tokens)

    def _read_s(self, n_tokens: int) -> float:
        found = self._read.get(n_tokens)
        if found is None:
            import numpy as np

            last, before = self.chunk_tokens[-1], self.chunk_tokens[-2]
            if n_tokens > last:  # a full batch and the slots that decode
                slope = (self.chunk_s[-1] - self.chunk_s[-2]) / (last - before)
                found = self.chunk_s[-1] + slope * (n_tokens - last)
            else:
                found = float(np.interp(n_tokens, self.chunk_tokens, self.chunk_s))
            self._read[n_tokens] = found
        return found


def slot_timer(
    model: DescribedModel,
    placement: Placement,
    machine: Machine,
    facts: SpeedFacts,
    *,
    bound: Bound = "expected",
    sample_s: float = 0.0,
) -> SlotTimer:
    """The timer of a placed model with the slots, context and batch of its flags.

    Raises MissingFactError where the speed of a step is unknown.
    """
    flags = placement.flags
    depth = max(1, min(_USUAL_DEPTH, flags.n_context_tokens // flags.n_sequences))

    def step_s(n: int, at: int) -> float:
        return n / _rate(decode_speed(model, placement, machine, facts, at, n), bound)

    counts = range(1, flags.n_sequences + 1)
    empty = [step_s(n, 0) for n in counts]
    cached = [
        max(0.0, step_s(n, depth) - start) / (n * depth) for n, start in zip(counts, empty, strict=True)
    ]

    def prompt_s(n: int) -> float:
        return n / _rate(prefill_speed(model, placement, machine, facts, n), bound)

    points = _lengths(flags.n_batch)
    whole = [prompt_s(n) for n in points]
    pair_s = _pair_s(model, placement, machine, facts, points[-1], whole[-1])
    read = [seconds - pair_s * n * n / 2 for n, seconds in zip(points, whole, strict=True)]
    is_unified = flags.unified_cache or flags.n_sequences == 1
    parted = empty if is_unified else [_parted_s(empty, n) for n in counts]
    # Very short ones are no prompts to the engine, but steps of several tokens.
    return SlotTimer(
        empty_s=(0.0, *parted),
        cached_token_s=(0.0, *cached),
        chunk_tokens=(1.0, *map(float, points)),
        chunk_s=(min(empty[0], read[0]), *read),
        pair_s=pair_s,
        sample_s=sample_s,
        is_unified=is_unified,
    )


def _parted_s(empty: Sequence[float], n: int) -> float:
    """A step of n slots that generate, of all there are, where only slots with neighbouring numbers are computed together.

    n of S slots at random lie in n · (S − n + 1) / S rows of neighbours on average.
    """
    n_rows = n * (len(empty) - n + 1) / len(empty)
    whole, part = divmod(n / n_rows, 1)
    shorter = empty[int(whole) - 1]
    return n_rows * (shorter + (empty[min(int(whole), len(empty) - 1)] - shorter) * part)


def _rate(estimate: SpeedEstimate, bound: Bound) -> float:
    if estimate.tokens_per_s is None:
        raise MissingFactError(estimate.missing or "the speed of a step is unknown")
    return _end(estimate.tokens_per_s, bound)


def _end(rate: Interval, bound: Bound) -> float:
    """The rate that gives the low, expected or high time."""
    return {"low": rate.high, "expected": rate.expected, "high": rate.low}[bound]


def _lengths(n_batch: int) -> Sequence[int]:
    shortest = min(_SHORTEST, n_batch)
    if n_batch <= _SHORTEST + 1:
        return (shortest,)
    factor = (n_batch / shortest) ** (1 / (_POINTS - 1))
    return sorted({round(shortest * factor**i) for i in range(_POINTS)})


def _pair_s(
    model: DescribedModel,
    placement: Placement,
    machine: Machine,
    facts: SpeedFacts,
    n_tokens: int,
    prompt_s: float,
) -> float:
    """Seconds of attention for each pair: what reading a prompt takes longer behind a context, over its pairs.

    By the model of operators, stretched as the prompt itself is; 0 where the operators are not known.
    """
    flags = placement.flags
    past = max(n_tokens, _USUAL_DEPTH)
    try:
        layout = placed_layout(placement, machine)
        behind, first = (
            sum(facts.factors.seconds(prefill_case(model.work, layout, flags, n_tokens, n)))
            for n in (past, 0)
        )
    except MissingFactError:
        return 0.0
    return float(max(0.0, behind - first) / (n_tokens * past) * prompt_s / first)
