"""Real-gated linear recurrent unit (RG-LRU): the recurrent layer of Griffin and RecurrentGemma."""

from dataclasses import dataclass

from planner.model.constant_state import ConstantState
from planner.model.weight import Weight, matrix, vector


@dataclass(frozen=True, slots=True, kw_only=True)
class GatedLinearRecurrence(ConstantState):
    """RG-LRU with a short convolution in front (De et al. 2024, arXiv:2402.19427)."""

    width: int
    n_blocks: int
    conv_kernel: int

    def __post_init__(self) -> None:
        if self.width % self.n_blocks:
            raise ValueError(f"a width of {self.width} does not divide over {self.n_blocks} gate blocks")

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return "RG-LRU"

    @property
    def state_elements(self) -> int:
        """One number per channel and the convolution's last K − 1 inputs."""
        return self.width + self.conv_state_elements

    @property
    def conv_state_elements(self) -> int:
        """The last K − 1 inputs of the convolution."""
        return self.width * (self.conv_kernel - 1)

    @property
    def state_flop_per_token(self) -> int:
        """About 6 FLOP per channel beside its gates."""
        return 6 * self.width

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """Two in-projections, convolution, block-diagonal gates, decay and out-projection, all with biases."""
        block = self.width // self.n_blocks
        found = [Weight(role="lru_conv1d", shape=(self.conv_kernel, self.width)), vector("lru_a", self.width)]
        for role, n_in, n_out in (
            ("lru_x", hidden_size, self.width),
            ("lru_y", hidden_size, self.width),
            ("lru_out", self.width, hidden_size),
        ):
            found += [matrix(role, n_in, n_out), vector(f"{role}.bias", n_out)]
        for role in ("lru_input_gate", "lru_recurrent_gate"):
            found += [
                Weight(role=role, shape=(block, block, self.n_blocks)),
                vector(f"{role}.bias", self.width),
            ]
        found.append(vector("lru_conv1d.bias", self.width))
        return tuple(found)
