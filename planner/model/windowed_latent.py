"""Latent attention within a sliding window (dots3)."""

from dataclasses import dataclass
from typing import Any

from planner.model.latent import LatentAttention
from planner.model.token_cache import TokenCache, attended_pairs, least


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowedLatentAttention(LatentAttention):
    """MLA that keeps the latents of the last `window` tokens only."""

    window: int

    def __post_init__(self) -> None:
        if self.window <= 0 or self.top_k_tokens is not None:
            raise ValueError("windowed latent attention needs a window and has no sparse index")

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return f"sliding-window MLA ({self.window:,})"

    @property
    def window_tokens(self) -> int | None:
        """The window."""
        return self.window

    @property
    def token_caches(self) -> tuple[TokenCache, ...]:
        """The latents of the window."""
        return (TokenCache(name="latent", k_elements=self.k_elements_per_token, window_tokens=self.window),)

    def decode_flop(self, n_context_tokens: Any) -> Any:
        """Absorbed attention to the window."""
        return self.score_flop_per_cached_token * least(n_context_tokens, self.window)

    def prefill_flop(self, n_tokens: Any, n_past_tokens: Any = 0) -> Any:
        """Pairs within the window, absorbed or expanded."""
        head = self.qk_nope_head_dim + self.qk_rope_head_dim + self.v_head_dim
        per_pair = self.score_flop_per_cached_token if self.absorbed_prefill else 2 * self.n_heads * head
        return per_pair * attended_pairs(n_tokens, n_past_tokens, self.window)
