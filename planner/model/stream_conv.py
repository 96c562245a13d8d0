"""Short convolutions on the streams of a layer: keys, values, or what goes in and out (Inkling, ZAYA, Qwen4)."""

from dataclasses import dataclass

from planner.model.constant_state import ConstantState
from planner.model.weight import Weight, vector


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamConvolutions(ConstantState):
    """Depthwise convolutions over the last tokens; each stream is (name, width, taps, tokens between taps)."""

    streams: tuple[tuple[str, int, int, int], ...]
    bias: bool = False

    @property
    def kind(self) -> str:
        """The kind in the field's words."""
        return "short convolutions"

    @property
    def state_elements(self) -> int:
        """Only inputs of convolutions."""
        return self.conv_state_elements

    @property
    def conv_state_elements(self) -> int:
        """Each stream's last (K − 1) · dilation inputs."""
        return sum(width * (taps - 1) * dilation for _, width, taps, dilation in self.streams)

    @property
    def state_flop_per_token(self) -> int:
        """A multiply-add per tap and channel."""
        return sum(2 * width * taps for _, width, taps, _ in self.streams)

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """One tap weight per channel and tap; the widths already know the hidden size."""
        del hidden_size
        found = [Weight(role=f"{name}_conv1d", shape=(taps, width)) for name, width, taps, _ in self.streams]
        if self.bias:
            found += [vector(f"{name}_conv1d.bias", width) for name, width, _, _ in self.streams]
        return tuple(found)
