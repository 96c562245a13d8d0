"""Attention without a cache: models that write by denoising a whole block at once (Dream, LLaDA, RND1)."""

from dataclasses import dataclass

from planner.model.attention import Attention


@dataclass(frozen=True, slots=True, kw_only=True)
class UncachedAttention(Attention):
    """Attention in both directions over a block of text that every step computes anew."""

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return "bidirectional attention without a cache"

    @property
    def k_elements_per_token(self) -> int:
        """Nothing is kept from one step to the next."""
        return 0

    @property
    def v_elements_per_token(self) -> int:
        """Nothing is kept from one step to the next."""
        return 0
