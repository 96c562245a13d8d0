"""What an optimizer keeps for every trained parameter."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import prod

_BLOCK = 256  # bitsandbytes/optim/optimizer.py: one FP32 scale for 256 state elements
_LEAST_8BIT = 4096  # ibidem, min_8bit_size: smaller tensors keep FP32 state


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A trained tensor: its shape, how many like it there are, and whether it is a hidden matrix."""

    shape: tuple[int, ...]
    n: int = 1
    is_hidden_matrix: bool = True  # not an embedding, head or vector, which Muon leaves to AdamW

    @property
    def parameters(self) -> int:
        """Elements of all of them."""
        return self.n * prod(self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimizer:
    """State bytes of one trained tensor, given the bytes of an element that the state is made of."""

    name: str
    state_bytes: Callable[[Trained, int], int]
    source: str


def _adamw(trained: Trained, element_bytes: int) -> int:
    return 2 * element_bytes * trained.parameters


def _adamw_8bit(trained: Trained, element_bytes: int) -> int:
    del element_bytes
    size = prod(trained.shape)
    if size < _LEAST_8BIT:
        return trained.n * 8 * size
    return trained.n * 2 * (size + 4 * -(-size // _BLOCK))


def _adafactor(trained: Trained, element_bytes: int) -> int:
    del element_bytes
    if len(trained.shape) < 2:
        return 4 * trained.parameters
    rows, columns, *rest = trained.shape
    return trained.n * 4 * (rows + columns) * prod(rest)


def _sgd(trained: Trained, element_bytes: int) -> int:
    del trained, element_bytes
    return 0


def _momentum(trained: Trained, element_bytes: int) -> int:
    return element_bytes * trained.parameters


def _muon(trained: Trained, element_bytes: int) -> int:
    return (1 if trained.is_hidden_matrix else 2) * element_bytes * trained.parameters


OPTIMIZERS = {
    row.name: row
    for row in (
        Optimizer(name="adamw", state_bytes=_adamw, source="AdamW: two moments"),
        Optimizer(
            name="adamw-8bit",
            state_bytes=_adamw_8bit,
            source="bitsandbytes AdamW8bit: two moments of 8 bits, an FP32 scale for 256",
        ),
        Optimizer(
            name="adafactor",
            state_bytes=_adafactor,
            source="Adafactor: a row and a column of each matrix in FP32",
        ),
        Optimizer(name="sgd", state_bytes=_sgd, source="SGD: no state"),
        Optimizer(name="sgd-momentum", state_bytes=_momentum, source="SGD: one momentum"),
        Optimizer(
            name="muon",
            state_bytes=_muon,
            source="Muon: one momentum for hidden matrices; AdamW for the rest",
        ),
    )
}


def optimizer_bytes(name: str, trained: Iterable[Trained], element_bytes: int) -> int:
    """State of all trained tensors.

    AdamW 2·b per parameter (PyTorch makes the state in the parameter's own type); 8-bit AdamW
    2·(1 + 4/256), FP32 below 4,096 elements; Adafactor 4·(rows + columns); Muon b for hidden matrices.
    Sources: torch/optim, bitsandbytes/optim/optimizer.py 0.50, Shazeer & Stern 2018 (arXiv:1804.04235),
    torch/optim/_muon.py 2.14.
    """
    rule = OPTIMIZERS[name].state_bytes
    return sum(rule(tensor, element_bytes) for tensor in trained)
