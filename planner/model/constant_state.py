"""What every recurrent layer has in common: nothing cached per token, a state of constant size instead."""


class ConstantState:
    """A mixer whose memory does not grow with the context; subclasses give its state and its weights."""

    __slots__ = ()

    @property
    def window_tokens(self) -> int | None:
        """Nothing is cached per token."""
        return None

    @property
    def k_elements_per_token(self) -> int:
        """Nothing is cached per token."""
        return 0

    @property
    def v_elements_per_token(self) -> int:
        """Nothing is cached per token."""
        return 0

    @property
    def score_flop_per_cached_token(self) -> int:
        """Cost does not depend on the context."""
        return 0
