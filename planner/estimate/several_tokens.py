"""The rate of steps with several tokens on a placed model, tied to what one token at a time reaches there."""

from hardware.spec import Machine
from planner.errors import MissingFactError
from planner.estimate.described_model import DescribedModel
from planner.estimate.modelled_speed import modelled_decode
from planner.estimate.placement import Placement
from planner.estimate.speed import SpeedFacts, decode_speed
from planner.estimate.term import Interval


def several_tokens(
    model: DescribedModel,
    placement: Placement,
    machine: Machine,
    facts: SpeedFacts,
    depth_tokens: int,
    n_sequences: int = 1,
    n_new_tokens: int = 1,
) -> Interval:
    """Tokens per second of steps with `n_new_tokens` for each of `n_sequences`, all of them counted.

    What benchmarks here say of one token carries over: the model of operators says by how much a step of several
    takes longer. Bounds are the wider ones of both. Raises MissingFactError where either is unknown.
    """
    single = decode_speed(model, placement, machine, facts, depth_tokens)
    if single.tokens_per_s is None:
        raise MissingFactError(single.missing or "the decode speed is unknown")
    n_tokens = n_sequences * n_new_tokens
    if n_tokens == 1:
        return single.tokens_per_s
    if facts.factors is None:
        raise MissingFactError("no calibration of llama.cpp's operators is installed")

    def modelled(n: int, n_new: int) -> Interval:
        assert facts.factors is not None
        return modelled_decode(
            model.work, placement, machine, facts.factors, facts.spreads, depth_tokens, n, n_new
        ).interval

    one, many = modelled(1, 1), modelled(n_sequences, n_new_tokens)
    # A step gives n tokens and takes longer than one of a single token: never n times as many tokens per second.
    expected = min(n_tokens, many.expected / one.expected) * single.tokens_per_s.expected
    return Interval(
        low=expected * min(many.low / many.expected, single.tokens_per_s.low / single.tokens_per_s.expected),
        expected=expected,
        high=expected
        * max(many.high / many.expected, single.tokens_per_s.high / single.tokens_per_s.expected),
        basis=single.tokens_per_s.basis,
        source=f"{n_tokens} tokens a step; {many.source}",
    )
