"""PLaMo 2's state-space layer: Mamba-1's projections with one decay and one time step per head."""

from dataclasses import dataclass

from planner.model.constant_state import ConstantState
from planner.model.weight import Weight, matrix, vector


@dataclass(frozen=True, slots=True, kw_only=True)
class PlamoMamba(ConstantState):
    """Selective state space with heads and normalised dt, B and C (llama.cpp: src/models/plamo2.cpp)."""

    inner_size: int
    state_size: int
    n_heads: int
    time_step_rank: int
    conv_kernel: int

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return "Mamba with heads (PLaMo 2)"

    @property
    def state_elements(self) -> int:
        """d_inner × N recurrent elements and the convolution's last K − 1 inputs."""
        return self.inner_size * self.state_size + self.conv_state_elements

    @property
    def conv_state_elements(self) -> int:
        """The last K − 1 inputs of the convolution."""
        return self.inner_size * (self.conv_kernel - 1)

    @property
    def state_flop_per_token(self) -> int:
        """About 6 FLOP per state element: decay, input, read-out."""
        return 6 * self.inner_size * self.state_size

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """In-projection, convolution, the projections of dt, B and C with their norms, A, D, out-projection."""
        inner, rank = self.inner_size, self.time_step_rank
        return (
            matrix("ssm_in", hidden_size, 2 * inner),
            Weight(role="ssm_conv1d", shape=(self.conv_kernel, inner)),
            matrix("ssm_x", inner, rank + 2 * self.state_size),
            matrix("ssm_dt", rank, self.n_heads),
            vector("ssm_dt.bias", self.n_heads),
            vector("ssm_a", self.n_heads),
            vector("ssm_d", self.n_heads),
            vector("ssm_dt_norm", rank),
            vector("ssm_b_norm", self.state_size),
            vector("ssm_c_norm", self.state_size),
            matrix("ssm_out", inner, hidden_size),
        )
