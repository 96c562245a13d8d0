"""RWKV-7: a recurrent layer with a matrix state per head and low-rank gates."""

from dataclasses import dataclass

from planner.model.constant_state import ConstantState
from planner.model.weight import Weight, matrix, vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Rwkv7TimeMix(ConstantState):
    """The time mixing of RWKV-7 "Goose" (arXiv:2503.14456)."""

    width: int
    head_dim: int
    decay_rank: int
    learning_rate_rank: int
    value_rank: int | None  # None in the first layer, which has no earlier value to mix in
    gate_rank: int | None
    norm: bool = True
    n_token_shifts: int = 2  # of the time mix, and of the channel mix where the model has one

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return "RWKV-7 time mix"

    @property
    def state_elements(self) -> int:
        """One d × d matrix per head, and the last token's input of the time and of the channel mix."""
        return self.width * self.head_dim + self.conv_state_elements

    @property
    def conv_state_elements(self) -> int:
        """The last token's inputs, which token shift mixes in."""
        return self.n_token_shifts * self.width

    @property
    def state_flop_per_token(self) -> int:
        """About 8 FLOP per state element: decay, removal, update and read-out."""
        return 8 * self.width * self.head_dim

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """Token shift, receptance, key, value and output; low-rank decay, rate, value and gate; norm."""
        width = self.width
        found = [
            Weight(role="time_mix_lerp_fused", shape=(hidden_size, 6 if self.gate_rank else 5)),
            matrix("time_mix_receptance", hidden_size, width),
            matrix("time_mix_key", hidden_size, width),
            matrix("time_mix_value", hidden_size, width),
            matrix("time_mix_output", width, hidden_size),
            vector("time_mix_k_k", width),
            vector("time_mix_k_a", width),
            vector("time_mix_r_k", width),
        ]
        if self.norm:
            found += [vector("time_mix_ln", width), vector("time_mix_ln.bias", width)]
        if self.gate_rank is not None:
            found += [
                matrix("time_mix_g1", hidden_size, self.gate_rank),
                matrix("time_mix_g2", self.gate_rank, width),
            ]
        for name, rank in (("w", self.decay_rank), ("a", self.learning_rate_rank), ("v", self.value_rank)):
            if rank is not None:
                found += [
                    vector(f"time_mix_{name}0", width),
                    matrix(f"time_mix_{name}1", hidden_size, rank),
                    matrix(f"time_mix_{name}2", rank, width),
                ]
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rwkv7ChannelMix:
    """RWKV-7's feed-forward block: squared ReLU over the token mixed with the one before it."""

    intermediate_size: int

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return "RWKV channel mix"

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """Token shift, key and value."""
        return (
            vector("channel_mix_lerp_k", hidden_size),
            matrix("channel_mix_key", hidden_size, self.intermediate_size),
            matrix("channel_mix_value", self.intermediate_size, hidden_size),
        )
