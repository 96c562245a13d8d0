"""The weights that each rank of a served model holds, by what they are: split, or whole on every rank."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from planner.engines.sharding import (
    Parallel,
    attention_of,
    expert_fraction,
    is_shared_expert,
    is_vocabulary,
    layer_fraction,
    padded_vocab,
    stage_layers,
)
from planner.model.formats.layout import FormatLayout
from planner.model.latent import LatentAttention
from planner.model.network import Mixer, Network
from planner.model.storage import StoredWeight


class Part(StrEnum):
    """What a rank's weights are for."""

    LAYERS = "layers"
    EXPERTS = "routed experts"
    SHARED_EXPERTS = "shared experts"
    EMBEDDING = "embedding"
    HEAD = "output head"
    TOWERS = "towers"
    DRAFT = "draft layers"


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightRules:
    """Where an engine departs from splitting everything over the tensor-parallel ranks.

    With attention replicas, embeddings lie whole on every rank, and the head is split over all ranks unless it
    follows the attention. An all-to-all backend (DeepEP) keeps shared experts whole.
    """

    replicas_are_engines: bool = (
        False  # vLLM's data parallelism: each replica splits all but the experts itself
    )
    embedding_per_replica: bool = False  # SGLang's `enable_tp=not is_dp_attention_enabled()`
    head_per_replica: bool = False  # SGLang's --enable-dp-lm-head
    dense_blocks_whole: bool = False  # SGLang's --moe-dense-tp-size 1
    shared_experts_whole: bool = False
    draft_shares_vocabulary: bool = True  # the draft's own embedding and head are dropped for the target's
    tower_fraction: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RankWeights:
    """One rank's weights: bytes by part, and how many of them every rank holds alike."""

    parts: Mapping[Part, int]
    replicated_bytes: int

    @property
    def total_bytes(self) -> int:
        """Everything that the rank loads."""
        return sum(self.parts.values())


def rank_weights(
    network: Network,
    layout: FormatLayout,
    ranks: Parallel,
    *,
    stage: int = 0,
    rules: WeightRules = WeightRules(),
    with_draft: bool = False,
    with_towers: bool = True,
    expert_padding: float = 1.0,
) -> RankWeights:
    """What the fullest rank of one pipeline stage loads.

    The first stage has the embedding (and towers), the last the head and draft layers; a tied head is one table on
    a single stage and two on several. Summed over ranks, what is split adds up to the whole and what is replicated
    to `ranks` times itself.
    """
    layers = stage_layers(network.n_layers, ranks.pipeline)[stage]
    is_first, is_last = stage == 0, stage + 1 == ranks.pipeline
    sums: Counter[Part] = Counter()
    replicated = 0
    mixers = {layer: group.mixer for group in network.groups for layer in group.layers}
    shares: dict[tuple[object, ...], tuple[Part, float]] = {}  # layers are much alike
    for weight in layout.storage.weights:
        if weight.layer is not None and weight.layer not in layers:
            continue
        if weight.layer is None and not _lies_on(weight, network, is_first, is_last):
            continue
        mixer = None if weight.layer is None else mixers[weight.layer]
        kind = (weight.role, weight.shape, weight.active_fraction, id(mixer))
        if kind not in shares:
            shares[kind] = _share(weight, mixer, network, ranks, rules)
            if rules.replicas_are_engines and shares[kind][0] is not Part.EXPERTS:
                shares[kind] = _share(weight, mixer, network, ranks.one_replica, rules)
        part, fraction = shares[kind]
        n_bytes = round(weight.n_bytes * fraction * (expert_padding if part is Part.EXPERTS else 1.0))
        sums[part] += n_bytes
        replicated += n_bytes if fraction == 1.0 else 0
    if with_towers and is_first:
        sums[Part.TOWERS] += round(layout.tower_bytes * rules.tower_fraction)
    if with_draft and is_last:
        sums[Part.DRAFT] += _draft_bytes(layout.extra_weights, network, ranks, rules)
    return RankWeights(parts=dict(sums), replicated_bytes=replicated)


def _lies_on(weight: StoredWeight, network: Network, is_first: bool, is_last: bool) -> bool:
    if weight.role in ("token_embd", "per_layer_token_embd", "position_embd"):
        return is_first or (weight.role == "token_embd" and network.tied_embeddings and is_last)
    if weight.role.startswith("output"):
        return is_last
    return is_first or is_last


def _share(
    weight: StoredWeight, mixer: Mixer | None, network: Network, ranks: Parallel, rules: WeightRules
) -> tuple[Part, float]:
    """Which part a weight belongs to, and the fraction of it that a rank holds."""
    role = weight.role
    if is_vocabulary(role):
        padding = padded_vocab(network.vocab_size) / network.vocab_size
        is_head = role in ("output", "output.bias", "nextn.shared_head_head")
        replicas = ranks.attention_replicas > 1
        if replicas and (rules.head_per_replica if is_head else rules.embedding_per_replica):
            n = ranks.attention if is_head else 1
        else:
            n = ranks.tensor
        return (Part.HEAD if is_head else Part.EMBEDDING), padding / n
    if weight.active_fraction < 1.0 or role.endswith("_exps"):
        return Part.EXPERTS, expert_fraction(weight.shape[-1], ranks)
    if is_shared_expert(role):
        whole = rules.shared_experts_whole
        return Part.SHARED_EXPERTS, 1.0 if whole else layer_fraction(role, weight.shape, mixer, ranks)
    if rules.dense_blocks_whole and role.startswith("ffn_"):
        return Part.LAYERS, 1.0
    return Part.LAYERS, layer_fraction(role, weight.shape, mixer, ranks)


def _draft_bytes(
    weights: Iterable[StoredWeight], network: Network, ranks: Parallel, rules: WeightRules
) -> int:
    mixer = network.groups[-1].mixer
    total = 0
    for weight in weights:
        if is_vocabulary(weight.role) and rules.draft_shares_vocabulary:
            continue
        part, fraction = _share(weight, mixer, network, ranks, rules)
        if rules.replicas_are_engines and part is not Part.EXPERTS:
            _, fraction = _share(weight, mixer, network, ranks.one_replica, rules)
        total += round(weight.n_bytes * fraction)
    return total


def latent_copy_bytes(network: Network, ranks: Parallel, *, stage: int = 0, element_bytes: int = 2) -> int:
    """The absorbed halves of MLA's kv_b_proj, kept beside it in the activations' type.

    `process_weights_after_loading` in vllm/model_executor/layers/attention/mla_attention.py (0.25.1) and
    `post_load_weights` in sglang/srt/models/deepseek_v2.py: kvr * heads * (nope + v) elements per layer.
    """
    layers = stage_layers(network.n_layers, ranks.pipeline)[stage]
    total = 0
    for group in network.groups:
        mixer = group.mixer
        if isinstance(mixer, LatentAttention):
            width = mixer.kv_lora_rank * mixer.n_heads * (mixer.qk_nope_head_dim + mixer.v_head_dim)
            total += sum(layer in layers for layer in group.layers) * width // ranks.attention * element_bytes
    return total


def rope_table_bytes(network: Network, n_positions: int | None, element_bytes: int = 2) -> int:
    """Sines and cosines of every position, one table for all layers that rotate alike.

    `RotaryEmbedding._compute_cos_sin_cache`: positions * rotary width, in the activations' type. A width is taken as
    the head's (MLA: the rotary part's); partial rotation has narrower tables.
    """
    if n_positions is None:
        return 0
    widths: set[int] = set()
    for group in network.groups:
        attention = attention_of(group.mixer)
        if isinstance(group.mixer, LatentAttention):
            widths.add(group.mixer.qk_rope_head_dim)
        elif attention is not None:
            widths.add(attention.key_head_dim)
    return sum(widths) * n_positions * element_bytes
