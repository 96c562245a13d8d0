"""RWKV-4: a recurrent layer with one running average per channel, and a gated channel mix."""

from dataclasses import dataclass

from planner.model.constant_state import ConstantState
from planner.model.weight import Weight, matrix, vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Rwkv4TimeMix(ConstantState):
    """The time mixing of RWKV-4 (arXiv:2305.13048)."""

    hidden_size: int
    width: int

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return "RWKV-4 time mix"

    @property
    def state_elements(self) -> int:
        """Numerator, denominator and maximum per channel; the last input of the time and the channel mix."""
        return 3 * self.width + 2 * self.hidden_size

    @property
    def state_flop_per_token(self) -> int:
        """About 10 FLOP per channel: two exponential averages and a division."""
        return 10 * self.width

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """Receptance, key, value and output; decay and first weight; three token shifts."""
        return (
            *(matrix(f"time_mix_{part}", hidden_size, self.width) for part in ("receptance", "key", "value")),
            matrix("time_mix_output", self.width, hidden_size),
            vector("time_mix_decay", self.width),
            vector("time_mix_first", self.width),
            *(vector(f"time_mix_lerp_{part}", hidden_size) for part in "kvr"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rwkv4ChannelMix:
    """RWKV-4's feed-forward block: squared ReLU, gated by a receptance."""

    intermediate_size: int

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return "RWKV channel mix"

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """Two token shifts; key, value and receptance."""
        return (
            vector("channel_mix_lerp_k", hidden_size),
            vector("channel_mix_lerp_r", hidden_size),
            matrix("channel_mix_key", hidden_size, self.intermediate_size),
            matrix("channel_mix_value", self.intermediate_size, hidden_size),
            matrix("channel_mix_receptance", hidden_size, hidden_size),
        )
