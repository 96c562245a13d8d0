"""Speculative decoding: how many tokens a step gives when a cheap guess of the next ones is verified at once."""

from typing import Any


def expected_tokens(acceptance: Any, n_drafted: Any) -> Any:
    """Tokens that a step of speculative decoding gives: (1 − α^(γ + 1)) / (1 − α), γ + 1 at an acceptance of 1.

    Holds where each of the γ drafted tokens is accepted with the same probability α as long as those before it
    were, and the target adds one of its own (Leviathan, Kalman and Matias 2023, arXiv 2211.17192, equation 1).
    Written as the sum 1 + α + … + α^γ, which has no special case.
    """
    total = 1.0
    power = 1.0
    for _ in range(n_drafted):
        power = power * acceptance
        total = total + power
    return total


def accepted_fraction(acceptance: Any, n_drafted: int) -> Any:
    """Share of drafted tokens that are accepted, as llama-server logs it: (α + … + α^γ) / γ."""
    return (expected_tokens(acceptance, n_drafted) - 1) / n_drafted
