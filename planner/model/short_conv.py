"""Gated short convolution: the token mixer of most LFM2 layers."""

from dataclasses import dataclass

from planner.model.constant_state import ConstantState
from planner.model.weight import Weight, matrix, vector


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortConvolution(ConstantState):
    """A doubly gated convolution over the last few tokens (LFM2, arXiv:2511.23404)."""

    width: int
    conv_kernel: int
    bias: bool = False

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return "short convolution"

    @property
    def state_elements(self) -> int:
        """The convolution's last K − 1 inputs."""
        return self.conv_state_elements

    @property
    def conv_state_elements(self) -> int:
        """The last K − 1 inputs of the convolution."""
        return self.width * (self.conv_kernel - 1)

    @property
    def state_flop_per_token(self) -> int:
        """A multiply-add per tap."""
        return 2 * self.width * self.conv_kernel

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """In-projection of two gates and a value, the convolution, the out-projection."""
        found = [
            matrix("shortconv.in_proj", hidden_size, 3 * self.width),
            Weight(role="shortconv.conv", shape=(self.conv_kernel, self.width)),
            matrix("shortconv.out_proj", self.width, hidden_size),
        ]
        if self.bias:
            found += [
                vector("shortconv.in_proj.bias", 3 * self.width),
                vector("shortconv.conv.bias", self.width),
                vector("shortconv.out_proj.bias", hidden_size),
            ]
        return tuple(found)
