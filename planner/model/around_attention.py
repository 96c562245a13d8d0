"""What mixers built around an attention have in common: its cache is theirs."""

from planner.model.attention import Attention
from planner.model.mixing import CachesTokens


class AroundAttention(CachesTokens):
    """A mixer that caches what its `attention` caches; subclasses add weights, state or work."""

    __slots__ = ()

    attention: Attention

    @property
    def window_tokens(self) -> int | None:
        """The attention's window."""
        return self.attention.window_tokens

    @property
    def k_elements_per_token(self) -> int:
        """Key elements of the attention."""
        return self.attention.k_elements_per_token

    @property
    def v_elements_per_token(self) -> int:
        """Value elements of the attention."""
        return self.attention.v_elements_per_token

    @property
    def score_flop_per_cached_token(self) -> int:
        """Scores and values of one attended token."""
        return self.attention.score_flop_per_cached_token
