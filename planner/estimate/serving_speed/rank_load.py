"""What one GPU of a serving engine computes and moves for one token of a model, by part of the network."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from planner.engines.sharding import (
    Parallel,
    expert_fraction,
    is_vocabulary,
    kv_heads_per_rank,
    layer_fraction,
    stage_layers,
)
from planner.model.delta_net import GatedDeltaNet
from planner.model.indexed_attention import IndexedAttention
from planner.model.kimi_delta import KimiDeltaAttention
from planner.model.latent import LatentAttention
from planner.model.network import LayerGroup, Network
from planner.model.storage import Storage, StoredWeight
from planner.model.token_cache import attended_pairs
from planner.model.weight import Use

PARTS = ("attention", "dense", "experts", "head")
# What mixes tokens: attention, the scores of a sparse index, recurrence.
MIXINGS = ("attended", "indexed", "recurrent")
# Layers by what they launch: every one, and those that launch more.
LAYERS = ("layer", "moe", "shared", "latent", "indexed", "recurrent", "normed", "scaled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrices:
    """One part's matrices on one rank: bytes, elements, and the matrix unit that multiplies them."""

    n_bytes: float = 0.0
    n_elements: float = 0.0
    unit: str = "fp16"  # "fp16", "fp8", "fp4"


@dataclass(frozen=True, kw_only=True)
class RankLoad:
    """A model over the ranks of one replica, as the fullest rank sees it."""

    network: Network
    ranks: Parallel
    parts: Mapping[str, Matrices]
    active_fraction: float  # of the routed experts, for one token; 1 without experts
    experts_per_token: float = 0.0  # of the routed ones
    counts: Mapping[str, int] = field(default_factory=dict)  # layers by what they launch

    @property
    def layer_share(self) -> float:
        """Of the layers, what the longest pipeline stage has."""
        n = self.network.n_layers
        return max(map(len, stage_layers(n, self.ranks.pipeline))) / n

    @property
    def stage_share(self) -> float:
        """Of the bytes of all layers and the head, what the fullest stage has: the last one has the head."""
        n, head = self.network.n_layers, self.parts["head"].n_bytes
        layers = sum(part.n_bytes for part in self.parts.values()) - head
        if self.ranks.pipeline == 1:
            return 1.0
        *others, last = (len(stage) / n * layers for stage in stage_layers(n, self.ranks.pipeline))
        return max(*others, last + head) / (layers + head)

    def cache_elements(self, n_context_tokens: Any) -> Any:
        """Elements of cache that one sequence's next token reads on one rank, at a context."""
        n = self.ranks.attention
        total = 0 * n_context_tokens
        for group in self.network.groups:
            if group.mixer is None:
                continue
            heads = getattr(group.mixer, "n_kv_heads", None)
            for cache in group.mixer.token_caches:
                # Latents and index keys have one head, which every rank keeps.
                share = 1.0 if heads is None or not cache.v_elements else kv_heads_per_rank(heads, n) / heads
                read = cache.entries_read(n_context_tokens) * cache.elements_per_entry * share
                total = total + len(group.layers) * read
        return total

    def state_elements(self) -> float:
        """Elements of recurrent state of one sequence on one rank."""
        states = (len(g.layers) * g.mixer.state_elements for g in self.network.groups if g.mixer)
        return sum(states) / self.ranks.attention

    def decode_mixing_flop(self, n_context_tokens: Any) -> dict[str, Any]:
        """FLOP of mixing one sequence's next token at a context, on one rank, by kind of mixing."""
        return self._mixing_flop(lambda mixer: mixer.decode_flop(n_context_tokens), n_context_tokens)

    def prefill_mixing_flop(self, n_tokens: Any) -> dict[str, Any]:
        """FLOP of mixing a prompt of so many tokens, on one rank, by kind of mixing."""
        return self._mixing_flop(lambda mixer: mixer.prefill_flop(n_tokens), attended_pairs(n_tokens, 0))

    def _mixing_flop(self, flop_of: Callable[[Any], Any], n_scored: Any) -> dict[str, Any]:
        found: dict[str, Any] = dict.fromkeys(MIXINGS, 0.0 * n_scored)
        for group in self.network.groups:
            if group.mixer is None:
                continue
            flop, n = flop_of(group.mixer), len(group.layers)
            if not group.mixer.token_caches:
                found["recurrent"] = found["recurrent"] + n * flop / self.ranks.attention
                continue
            # Every rank keeps the whole index and scores it (vLLM and SGLang build it of replicated matrices).
            indexed = getattr(group.mixer, "index_flop_per_cached_token", 0) * n_scored
            found["indexed"] = found["indexed"] + n * indexed
            found["attended"] = found["attended"] + n * (flop - indexed) / self.ranks.attention
        return found

    def read_share(self, n_tokens: Any) -> Any:
        """Share of the routed experts that at least one of n tokens picks: 1 − (1 − k/E)^n."""
        return 1.0 - (1.0 - self.active_fraction) ** n_tokens


def rank_load(network: Network, storage: Storage, ranks: Parallel) -> RankLoad:
    """Every stored weight shared out over the ranks as vLLM and SGLang do; towers and draft layers are left out."""
    groups = {layer: group for group in network.groups for layer in group.layers}
    sums: dict[str, dict[str, list[float]]] = {part: {} for part in PARTS}
    active = 1.0
    has_head = storage.has_output_head
    for weight in storage.weights:
        if (weight.layer is not None and weight.layer >= network.n_layers) or weight.use is Use.UNUSED:
            continue
        group = groups.get(weight.layer) if weight.layer is not None else None
        part, fraction = _part(weight, group, ranks, has_head=has_head)
        if part is None:
            continue
        if part == "experts":
            active = weight.active_fraction
        found = sums[part].setdefault(_unit(weight.type_name), [0.0, 0.0])
        found[0] += weight.n_bytes * fraction
        found[1] += weight.n_elements * fraction
    return RankLoad(
        network=network,
        ranks=ranks,
        parts={part: _matrices(by_unit) for part, by_unit in sums.items()},
        active_fraction=active,
        experts_per_token=_experts_per_token(network),
        counts={**_counts(network), "scaled": network.n_layers if _is_scaled(storage) else 0},
    )


def _part(
    weight: StoredWeight, group: LayerGroup | None, ranks: Parallel, *, has_head: bool
) -> tuple[str | None, float]:
    if is_vocabulary(weight.role):
        is_head = weight.use is Use.HEAD or (not has_head and weight.role == "token_embd")
        return ("head", 1.0 / ranks.tensor) if is_head else (None, 0.0)
    if weight.is_expert:
        return "experts", expert_fraction(weight.shape[-1], ranks)
    fraction = layer_fraction(weight.role, weight.shape, group.mixer if group else None, ranks)
    return ("dense" if weight.role.startswith("ffn") else "attention"), fraction


def _unit(type_name: str) -> str:
    """The matrix unit that multiplies a stored type; weights of other types are widened to 16 bits on the way."""
    return "fp4" if "FP4" in type_name else "fp8" if type_name.startswith("FP8") else "fp16"


def _matrices(by_unit: Mapping[str, list[float]]) -> Matrices:
    """One part: its unit is that of most of its elements."""
    if not by_unit:
        return Matrices()
    unit = max(by_unit, key=lambda name: by_unit[name][1])
    return Matrices(
        n_bytes=sum(found[0] for found in by_unit.values()),
        n_elements=sum(found[1] for found in by_unit.values()),
        unit=unit,
    )


def _experts_per_token(network: Network) -> float:
    weights = (weight for group in network.groups for weight in group.weights(network.hidden_size))
    return max((weight.active_experts or 0.0 for weight in weights), default=0.0)


def _counts(network: Network) -> dict[str, int]:
    """How many layers launch what: every layer its usual kernels, some kinds more of them."""
    counts = dict.fromkeys(LAYERS, 0)
    for group in network.groups:
        n = len(group.layers)
        counts["layer"] += n
        if any(weight.active_experts is not None for weight in group.weights(network.hidden_size)):
            counts["moe"] += n
        if getattr(group.block, "shared", None) is not None:
            counts["shared"] += n
        if getattr(group.mixer, "qk_norm", "none") != "none":
            counts["normed"] += n
        if isinstance(group.mixer, LatentAttention):
            counts["latent"] += n
            if group.mixer.indexer is not None:
                counts["indexed"] += n
        elif isinstance(group.mixer, IndexedAttention):
            counts["indexed"] += n
        elif isinstance(group.mixer, (GatedDeltaNet, KimiDeltaAttention)):
            counts["recurrent"] += n
    return counts


def _is_scaled(storage: Storage) -> bool:
    """Whether layers outside the experts scale blocks of their inputs on the way, as 8-bit blocks of weights ask for."""
    found = Counter[bool]()
    for weight in storage.weights:
        if weight.role.startswith("attn") and weight.use is Use.MATMUL:
            found[weight.type_name.startswith("FP8") and "x" in weight.type_name] += 1
    return found[True] > found[False]
