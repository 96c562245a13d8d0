"""One weight tensor of a network, by its role and shape."""

from dataclasses import dataclass
from enum import StrEnum
from math import prod
from typing import Any


class Use(StrEnum):
    """What a token does with a weight, which decides how many bytes and FLOP it costs."""

    MATMUL = "matmul"  # read whole, 2 FLOP per element
    VECTOR = "vector"  # read whole, element-wise: norms, biases, gates
    TABLE = "table"  # one row is read: token embeddings
    HEAD = "head"  # the vocabulary projection: once per sampled token, not per prompt token
    UNUSED = "unused"  # stored, but not read in normal decoding


def expected_read_share(active_fraction: float, n_tokens: Any) -> Any:
    """Share of a tensor of experts that at least one of n tokens picks: 1 − (1 − k/E)^n; broadcasts.

    Holds for even routing with independent picks; real routing is less even, so it is an upper estimate.
    """
    return 1.0 - (1.0 - active_fraction) ** n_tokens


def uneven_read_share(active_fraction: float, n_tokens: Any) -> Any:
    """The same where some experts are picked more often than others: 1 − (1 − f) / (1 + (n − 1)·f), f = k/E; broadcasts.

    Holds for picks whose rates differ from expert to expert like exponential draws: a gamma mixture of Poisson counts of
    shape 1, made exact at one token. Prompts of llama-bench follow it: on a Strix Halo gpt-oss-120b took 0.20, 0.25, 0.30
    and 0.41 s for 16, 32, 64 and 128 tokens, which pick 33, 50, 67 and 80 % of its experts by this and 40, 64, 87 and 98 %
    evenly.
    """
    return 1.0 - (1.0 - active_fraction) / (1.0 + (n_tokens - 1.0) * active_fraction)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """One weight tensor, named as llama.cpp names it ("attn_q", "ffn_down_exps") without its layer.

    `shape` is in ggml order: input features first, then output features, then experts.
    `active_experts` of the last dimension's experts are read for one token; None means all of the tensor.
    """

    role: str
    shape: tuple[int, ...]
    use: Use = Use.MATMUL
    active_experts: float | None = None

    def __post_init__(self) -> None:
        if not self.shape or min(self.shape) <= 0:
            raise ValueError(
                f"weight {self.role} has the shape {self.shape}; every dimension must be positive"
            )

    @property
    def parameters(self) -> int:
        """Elements stored."""
        return prod(self.shape)

    @property
    def active_fraction(self) -> float:
        """Share of the elements that one token uses: experts picked over experts there."""
        return 1.0 if self.active_experts is None else self.active_experts / self.shape[-1]

    @property
    def active_parameters(self) -> float:
        """Elements that one token uses, an embedding table counted whole as publishers do."""
        return self.parameters * self.active_fraction


def matrix(role: str, n_in: int, n_out: int) -> Weight:
    """A matrix that every token is multiplied with."""
    return Weight(role=role, shape=(n_in, n_out))


def vector(role: str, n: int) -> Weight:
    """A norm, bias or gate."""
    return Weight(role=role, shape=(n,), use=Use.VECTOR)
