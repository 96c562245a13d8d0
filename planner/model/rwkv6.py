"""RWKV-6: a recurrent layer with a matrix state per head whose decay depends on the token."""

from dataclasses import dataclass

from planner.model.constant_state import ConstantState
from planner.model.weight import Use, Weight, matrix, vector

_SHIFTED = "wkvrg"  # decay, key, value, receptance and gate each mix the token with the one before


@dataclass(frozen=True, slots=True, kw_only=True)
class Rwkv6TimeMix(ConstantState):
    """The time mixing of RWKV-6 "Finch" (arXiv:2404.05892), and of Qwen2 turned into it (QRWKV6).

    `separate_shifts` and `fused_shifts` say how a file stores the five token-shift vectors; some hold both.
    """

    width: int
    head_dim: int
    shift_rank: int
    decay_rank: int
    key_value_width: int
    separate_shifts: bool = True
    fused_shifts: bool = False
    bonus: bool = True  # the "first token" weights
    norm: bool = True
    bias: bool = False
    n_token_shifts: int = 2  # of the time mix, and of the channel mix where the model has one

    def __post_init__(self) -> None:
        if self.head_dim < 1 or self.width % self.head_dim:
            raise ValueError(f"heads of {self.head_dim} do not divide a width of {self.width}")

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return "RWKV-6 time mix"

    @property
    def state_elements(self) -> int:
        """One d × d matrix per head, and the last token's inputs that token shift mixes in."""
        return self.width * self.head_dim + self.conv_state_elements

    @property
    def conv_state_elements(self) -> int:
        """The last token's inputs."""
        return self.n_token_shifts * self.width

    @property
    def state_flop_per_token(self) -> int:
        """About 6 FLOP per state element: decay, outer product, read-out."""
        return 6 * self.width * self.head_dim

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """Token shift with its low-rank part, decay, receptance, key, value, gate, output and norm."""
        width, key = self.width, self.key_value_width
        found = [
            matrix("time_mix_w1", hidden_size, 5 * self.shift_rank),
            Weight(role="time_mix_w2", shape=(self.shift_rank, hidden_size, 5)),
            vector("time_mix_lerp_x", hidden_size),
            vector("time_mix_decay", width),
            matrix("time_mix_decay_w1", hidden_size, self.decay_rank),
            matrix("time_mix_decay_w2", self.decay_rank, width),
            matrix("time_mix_receptance", hidden_size, width),
            matrix("time_mix_key", hidden_size, key),
            matrix("time_mix_value", hidden_size, key),
            matrix("time_mix_gate", hidden_size, width),
            matrix("time_mix_output", width, hidden_size),
        ]
        if self.separate_shifts:
            found += [vector(f"time_mix_lerp_{part}", hidden_size) for part in _SHIFTED]
        if self.fused_shifts:
            found.append(Weight(role="time_mix_lerp_fused", shape=(hidden_size, 1, 1, 5), use=Use.VECTOR))
        if self.bonus:
            shape = (self.head_dim, width // self.head_dim)
            found.append(Weight(role="time_mix_first", shape=shape, use=Use.VECTOR))
        if self.norm:
            found += [vector("time_mix_ln", width), vector("time_mix_ln.bias", width)]
        if self.bias:
            found += [
                vector("time_mix_receptance.bias", width),
                vector("time_mix_key.bias", key),
                vector("time_mix_value.bias", key),
            ]
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rwkv6ChannelMix:
    """RWKV-6's feed-forward block: squared ReLU behind a receptance gate."""

    intermediate_size: int

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return "RWKV channel mix"

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """Two token shifts, key, value and receptance."""
        return (
            vector("channel_mix_lerp_k", hidden_size),
            vector("channel_mix_lerp_r", hidden_size),
            matrix("channel_mix_key", hidden_size, self.intermediate_size),
            matrix("channel_mix_value", self.intermediate_size, hidden_size),
            matrix("channel_mix_receptance", hidden_size, hidden_size),
        )
