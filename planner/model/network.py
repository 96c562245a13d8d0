"""A whole network: groups of like layers, embeddings, extra prediction layers and towers."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from planner.model.token_cache import TokenCache
from planner.model.weight import Use, Weight


class Mixer(Protocol):
    """What moves information between tokens: attention of some kind, or a recurrent layer."""

    @property
    def kind(self) -> str:
        """The kind in the field's words."""

    @property
    def window_tokens(self) -> int | None:
        """Tokens the main cache keeps at most; None for all of them."""

    @property
    def k_elements_per_token(self) -> int:
        """Key elements of the main cache per token."""

    @property
    def v_elements_per_token(self) -> int:
        """Value elements of the main cache per token."""

    @property
    def token_caches(self) -> tuple[TokenCache, ...]:
        """Everything kept for past tokens: none, one, or several caches."""

    @property
    def state_elements(self) -> int:
        """Elements of constant-size state per sequence, convolution inputs included."""

    @property
    def conv_state_elements(self) -> int:
        """The part of `state_elements` that is a short convolution's last inputs."""

    @property
    def score_flop_per_cached_token(self) -> int:
        """FLOP of one query token for each token of the main cache it looks at."""

    @property
    def state_flop_per_token(self) -> int:
        """FLOP that each token costs whatever the context, the weights apart."""

    def decode_flop(self, n_context_tokens: Any) -> Any:
        """FLOP of mixing one new token at a context, the weights apart; broadcasts over arrays."""

    def prefill_flop(self, n_tokens: Any, n_past_tokens: Any = 0) -> Any:
        """FLOP of mixing `n_tokens` after `n_past_tokens`, the weights apart; broadcasts over arrays."""

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """The layer's weights."""


class Block(Protocol):
    """What works on each token alone: a feed-forward block, dense or of experts."""

    @property
    def kind(self) -> str:
        """The kind in the field's words."""

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """The block's weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerGroup:
    """Layers that are alike: their indices, one mixer, one feed-forward block, the norms around them."""

    layers: tuple[int, ...]
    mixer: Mixer | None
    block: Block | None
    norms: tuple[Weight, ...]

    @property
    def kind(self) -> str:
        """The layer in the field's words."""
        return " + ".join(part.kind for part in (self.mixer, self.block) if part is not None) or "no-op"

    def weights(self, hidden_size: int) -> tuple[Weight, ...]:
        """The weights of one layer."""
        mixer = self.mixer.weights(hidden_size) if self.mixer else ()
        block = self.block.weights(hidden_size) if self.block else ()
        return (*mixer, *block, *self.norms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tower:
    """A vision or audio encoder in front of the language model, counted but not decoded with."""

    name: str
    parameters: int | None  # None for one that the planner cannot count
    unknown: str | None = None  # then why, and what it would need


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Parameter counts, apart; `total` counts every stored element, as hub totals do."""

    text: int
    mtp: int
    towers: int
    active: float
    copies: int = 0  # stored once more, such as a tied output head; never loaded twice
    uncounted: tuple[str, ...] = ()  # names of towers that the planner cannot count

    @property
    def counted(self) -> int:
        """Language model, extra prediction layers, counted towers and stored copies: at least this many."""
        return self.text + self.mtp + self.towers + self.copies

    @property
    def total(self) -> int | None:
        """All stored elements; None while a tower is not counted."""
        return None if self.uncounted else self.counted


@dataclass(frozen=True, kw_only=True)
class Network:
    """What a model computes, without its numbers: enough to count, size and time it."""

    architecture: str
    hidden_size: int
    vocab_size: int
    tied_embeddings: bool
    groups: tuple[LayerGroup, ...]
    outer: tuple[Weight, ...]  # embeddings, output head, final norm
    mtp: tuple[Weight, ...] = ()  # multi-token-prediction layers, not used in plain decoding
    towers: tuple[Tower, ...] = ()
    stored_copies: int = 0  # elements that the published files hold a second time
    context_tokens: int | None = None
    notes: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()  # what a person said of parts that nobody knows, as "PART=KIND"

    def __post_init__(self) -> None:
        indices = sorted(i for group in self.groups for i in group.layers)
        if indices != list(range(len(indices))):
            raise ValueError("layer groups must cover every layer exactly once")

    @cached_property
    def n_layers(self) -> int:
        """Layers of the language model, extra prediction layers apart."""
        return sum(len(group.layers) for group in self.groups)

    def weights(self) -> Iterator[tuple[LayerGroup | None, Weight]]:
        """Each distinct weight of the language model with its group; None for those outside the layers."""
        for weight in self.outer:
            yield None, weight
        for group in self.groups:
            for weight in group.weights(self.hidden_size):
                yield group, weight

    @cached_property
    def parameters(self) -> Parameters:
        """Counts by part; active parameters include embeddings and head, as most publishers count."""
        text = 0
        active = 0.0
        for group, weight in self.weights():
            n = len(group.layers) if group else 1
            text += n * weight.parameters
            active += n * weight.active_parameters if weight.use is not Use.UNUSED else 0
        return Parameters(
            text=text,
            mtp=sum(weight.parameters for weight in self.mtp),
            towers=sum(tower.parameters or 0 for tower in self.towers),
            uncounted=tuple(tower.name for tower in self.towers if tower.parameters is None),
            active=active,
            copies=self.stored_copies,
        )

    @property
    def active_matmul_parameters(self) -> float:
        """Elements read from memory for one decoded token: active less the embedding table's other rows."""
        tables = sum(weight.parameters for weight in self.outer if weight.use is Use.TABLE)
        return self.parameters.active - tables

    def is_mixture_of_experts(self) -> bool:
        """Whether a token uses only part of some weight."""
        return any(weight.active_experts is not None for _, weight in self.weights())


def embeddings(hidden_size: int, vocab_size: int, *, tied: bool, norm_bias: bool = False,
               final_norm: bool = True, head_bias: bool = False) -> tuple[Weight, ...]:  # fmt: skip
    """Token embedding, output head and final norm; a tied head reads the embedding table as its matrix."""
    found = [Weight(role="token_embd", shape=(hidden_size, vocab_size), use=Use.HEAD if tied else Use.TABLE)]
    if not tied:
        found.append(Weight(role="output", shape=(hidden_size, vocab_size), use=Use.HEAD))
    if head_bias:
        found.append(Weight(role="output.bias", shape=(vocab_size,), use=Use.VECTOR))
    if final_norm:
        found.append(Weight(role="output_norm", shape=(hidden_size,), use=Use.VECTOR))
        if norm_bias:
            found.append(Weight(role="output_norm.bias", shape=(hidden_size,), use=Use.VECTOR))
    return tuple(found)
