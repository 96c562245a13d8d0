"""How a network's weights are stored: which tensor in which type, and the exact bytes."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from planner.model.weight import Use

_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWeight:
    """One stored tensor: its role, its layer (None outside the layers), its type and its bytes."""

    role: str
    layer: int | None
    type_name: str
    shape: tuple[int, ...]
    n_elements: int
    n_bytes: int
    use: Use
    active_fraction: float = 1.0
    offset: int | None = None  # where in the file, when there is a file

    @property
    def is_expert(self) -> bool:
        """Whether it holds routed experts, which engines can place apart from the rest."""
        return self.active_fraction < 1.0

    @property
    def read_bytes_per_token(self) -> float:
        """Bytes that decoding one token reads: all of it, the picked experts, or one row of a table."""
        if self.use is Use.UNUSED:
            return 0.0
        if self.use is Use.TABLE:
            return self.n_bytes / self.shape[-1]
        return self.n_bytes * self.active_fraction


@dataclass(frozen=True, kw_only=True)
class Storage:
    """All stored tensors of a model and the label they go by ("Q4_K_M")."""

    label: str
    weights: tuple[StoredWeight, ...]
    predicted: bool  # True when the mix was predicted from the quantizer's rules, not read from a file
    file_bytes: int | None = None

    @cached_property
    def total_bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(weight.n_bytes for weight in self.weights)

    @cached_property
    def n_elements(self) -> int:
        """Elements of all tensors."""
        return sum(weight.n_elements for weight in self.weights)

    @property
    def bits_per_weight(self) -> float:
        """Bits per element over all tensors."""
        return self.total_bytes * 8 / self.n_elements

    @cached_property
    def bytes_by_layer(self) -> Mapping[int | None, int]:
        """Bytes per layer; None collects what lies outside the layers."""
        return _sums((weight.layer, weight.n_bytes) for weight in self.weights)

    @cached_property
    def bytes_by_type(self) -> Mapping[str, int]:
        """Bytes per tensor type, largest first."""
        sums = _sums((weight.type_name, weight.n_bytes) for weight in self.weights)
        return dict(sorted(sums.items(), key=lambda item: -item[1]))

    @cached_property
    def read_bytes_per_token(self) -> float:
        """Bytes of weights that decoding one token reads."""
        return sum(weight.read_bytes_per_token for weight in self.weights)

    @cached_property
    def has_output_head(self) -> bool:
        """Whether the output head is stored apart from the embedding table."""
        return any(weight.role == "output" for weight in self.weights)

    @cached_property
    def main_type(self) -> str:
        """The type that holds most bytes of the layers, which decides the kernels a token spends time in."""
        layers = _sums((w.type_name, w.n_bytes) for w in self.weights if w.layer is not None)
        return max(layers or self.bytes_by_type, key=lambda name: (layers or self.bytes_by_type)[name])


def _sums(pairs: Iterable[tuple[_Key, int]]) -> dict[_Key, int]:
    totals: Counter[_Key] = Counter()
    for key, n_bytes in pairs:
        totals[key] += n_bytes
    return dict(totals)
