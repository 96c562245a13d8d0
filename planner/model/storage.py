"""How a network's weights are stored: which tensor in which type, and the exact bytes."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from planner.model.weight import Use, expected_read_share

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
        return float(_read_bytes(self.use, self.active_fraction, self.n_bytes, self.shape[-1], 1))


def _read_bytes(use: Use, active_fraction: float, n_bytes: int, n_rows: int, n_tokens: Any) -> Any:
    if use is Use.UNUSED:
        return 0 * n_tokens
    if use is Use.TABLE:
        return n_bytes / n_rows * n_tokens
    return n_bytes * expected_read_share(active_fraction, n_tokens)


@dataclass(frozen=True, slots=True)
class _Alike:
    """Weights that cost a token alike, added up."""

    use: Use
    active_fraction: float
    n_rows: int  # of a table; 0 for the others
    n_bytes: int
    n_elements: int


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
    def weights_by_layer(self) -> Mapping[int | None, tuple[StoredWeight, ...]]:
        """The tensors of each layer; None collects what lies outside the layers."""
        found: dict[int | None, list[StoredWeight]] = {}
        for weight in self.weights:
            found.setdefault(weight.layer, []).append(weight)
        return {layer: tuple(weights) for layer, weights in found.items()}

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
        return float(self.read_bytes(1))

    @cached_property
    def _alike(self) -> tuple[_Alike, ...]:
        sums: dict[tuple[Use, float, int], list[int]] = {}
        for weight in self.weights:
            rows = weight.shape[-1] if weight.use is Use.TABLE else 0
            found = sums.setdefault((weight.use, weight.active_fraction, rows), [0, 0])
            found[0] += weight.n_bytes
            found[1] += weight.n_elements
        return tuple(_Alike(*key, *found) for key, found in sums.items())

    def read_bytes(self, n_tokens: Any) -> Any:
        """Bytes of weights that a step over n tokens reads: each expert once if any token picks it.

        One token reads `read_bytes_per_token`; very many read all that is used. Broadcasts over arrays.
        """
        return sum(
            _read_bytes(part.use, part.active_fraction, part.n_bytes, part.n_rows, n_tokens)
            for part in self._alike
        )

    def matmul_flop(self, n_tokens: Any, n_sampled_tokens: Any) -> Any:
        """FLOP of a step's matrix products: 2 an element and token, the head for sampled tokens only."""
        flop = 0 * n_tokens
        for part in self._alike:
            if part.use is Use.MATMUL:
                flop = flop + 2 * part.n_elements * part.active_fraction * n_tokens
            elif part.use is Use.HEAD:
                flop = flop + 2 * part.n_elements * n_sampled_tokens
        return flop

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
