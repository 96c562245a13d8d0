"""Kimi delta attention (KDA): linear attention whose state decays channel by channel."""

from dataclasses import dataclass

from planner.model.constant_state import ConstantState
from planner.model.weight import Weight, matrix, vector


@dataclass(frozen=True, slots=True, kw_only=True)
class KimiDeltaAttention(ConstantState):
    """KDA as in Kimi Linear (arXiv:2510.26692) and, with a full-rank output gate, in Kimi K3."""

    n_heads: int
    head_dim: int
    conv_kernel: int
    full_rank_gate: bool = False
    full_rank: bool = False  # decay and output gate as one matrix each (Ling 3)
    decay_elements: int | None = None  # stored entries of A_log, where a release pads them past n_heads

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return "Kimi delta attention"

    @property
    def _width(self) -> int:
        return self.n_heads * self.head_dim

    @property
    def state_elements(self) -> int:
        """One d × d matrix per head, and the three convolutions' last K − 1 inputs."""
        return self._width * self.head_dim + self.conv_state_elements

    @property
    def conv_state_elements(self) -> int:
        """The last K − 1 inputs of the convolutions."""
        return 3 * self._width * (self.conv_kernel - 1)

    @property
    def state_flop_per_token(self) -> int:
        """About 8 FLOP per state element: decay, prediction, update and read-out."""
        return 8 * self._width * self.head_dim

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """Projections and convolutions of q, k, v; decay, beta and output gates; norm; out-projection."""
        width, rank = self._width, self.head_dim
        found = [matrix(f"attn_{part}", hidden_size, width) for part in "qkv"]
        found += [Weight(role=f"ssm_conv1d_{part}", shape=(self.conv_kernel, width)) for part in "qkv"]
        if self.full_rank:
            found.append(matrix("ssm_f_a", hidden_size, width))
        else:
            found += [matrix("ssm_f_a", hidden_size, rank), matrix("ssm_f_b", rank, width)]
        found += [
            vector("ssm_dt.bias", width),
            vector("ssm_a", self.decay_elements or self.n_heads),
            matrix("ssm_beta", hidden_size, self.n_heads),
        ]
        if self.full_rank:
            found.append(matrix("ssm_g_a", hidden_size, width))
        elif self.full_rank_gate:
            found.append(matrix("ssm_g", hidden_size, width))
        else:
            found += [matrix("ssm_g_a", hidden_size, rank), matrix("ssm_g_b", rank, width)]
        found += [vector("ssm_norm", self.head_dim), matrix("attn_output", width, hidden_size)]
        return tuple(found)
