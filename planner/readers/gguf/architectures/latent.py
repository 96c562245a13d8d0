"""Latent attention of a layer: MLA with and without a sparse index, windowed, expanded, or compressed."""

from planner.errors import MalformedError, UnknownArchitectureError
from planner.model.compressed import CompressedAttention, Compressor
from planner.model.expanded_latent import ExpandedLatentAttention
from planner.model.latent import Indexer, LatentAttention
from planner.model.network import Mixer
from planner.model.windowed_latent import WindowedLatentAttention
from planner.readers.gguf.architectures.attention import head_dims
from planner.readers.gguf.architectures.keys import ArchitectureKeys
from planner.readers.gguf.architectures.tensor_table import LayerTensors

# glm-dsa.cpp: longer contexts are GLM 5.2's, whose files without the key share indexes in a fixed pattern.
_LONGEST_GLM_5_1_CONTEXT = 1_048_575
_INDEXED_RATIO = 4  # src/llama-kv-cache-dsv4.cpp: DSV4_CSA_RATIO


def latent_attention(
    keys: ArchitectureKeys, layer: int, tensors: LayerTensors, window: int | None, *, index_is_own: bool
) -> Mixer:
    """The attention of a layer with attn_kv_a_mqa."""
    windowed = "_swa" if window is not None and keys.maybe_count("attention.kv_lora_rank_swa") else ""
    n_heads = keys.count("attention.head_count", layer)
    plain_key_dim, plain_value_dim = head_dims(keys, windowed=False)
    rope = keys.maybe_count("rope.dimension_count")
    rope = plain_key_dim if rope is None else rope
    key_dim = keys.maybe_count(f"attention.key_length_mla{windowed}")
    value_dim = keys.maybe_count(f"attention.value_length_mla{windowed}")
    expanded = "attn_kv_b" in tensors and "attn_k_b" not in tensors
    if expanded or key_dim is None or value_dim is None:
        key_dim, value_dim = plain_key_dim, plain_value_dim
    if key_dim < rope:
        raise MalformedError(
            f"{keys.label}: keys of {key_dim} elements cannot hold {rope} rotated ones; the header "
            "contradicts itself"
        )
    q_rank = keys.maybe_count("attention.q_lora_rank") if "attn_q_a" in tensors else None
    rank = keys.count(f"attention.kv_lora_rank{windowed}")
    if expanded:
        return ExpandedLatentAttention(
            n_heads=n_heads,
            q_lora_rank=q_rank,
            kv_lora_rank=rank,
            qk_nope_head_dim=key_dim - rope,
            qk_rope_head_dim=rope,
            v_head_dim=value_dim,
        )
    if not {"attn_k_b", "attn_v_b"} <= tensors.keys():
        raise UnknownArchitectureError(
            f"GGUF architecture {keys.label}: layer {layer} has latent attention without attn_k_b and attn_v_b"
        )
    gate = tensors.get("attn_gate")
    hidden_size = keys.count("embedding_length")
    plain = LatentAttention(
        n_heads=n_heads,
        q_lora_rank=q_rank,
        kv_lora_rank=rank,
        qk_nope_head_dim=key_dim - rope,
        qk_rope_head_dim=rope,
        v_head_dim=value_dim,
        output_gate=gate is not None and gate.n_elements == hidden_size * n_heads * value_dim,
    )
    if window is not None:
        return WindowedLatentAttention(
            n_heads=plain.n_heads,
            q_lora_rank=plain.q_lora_rank,
            kv_lora_rank=plain.kv_lora_rank,
            qk_nope_head_dim=plain.qk_nope_head_dim,
            qk_rope_head_dim=plain.qk_rope_head_dim,
            v_head_dim=plain.v_head_dim,
            output_gate=plain.output_gate,
            window=window,
        )
    return _with_index(keys, plain, tensors, index_is_own)


def _with_index(
    keys: ArchitectureKeys, plain: LatentAttention, tensors: LayerTensors, index_is_own: bool
) -> LatentAttention:
    own = index_is_own and "indexer.attn_k" in tensors
    top_k = keys.maybe_count("attention.indexer.top_k") if own or not index_is_own else None
    if not top_k:
        return plain
    indexer = Indexer(
        n_heads=keys.count("attention.indexer.head_count"),
        head_dim=keys.count("attention.indexer.key_length"),
        pooled="indexer_compressor_gate" in tensors,
    )
    return LatentAttention(
        n_heads=plain.n_heads,
        q_lora_rank=plain.q_lora_rank,
        kv_lora_rank=plain.kv_lora_rank,
        qk_nope_head_dim=plain.qk_nope_head_dim,
        qk_rope_head_dim=plain.qk_rope_head_dim,
        v_head_dim=plain.v_head_dim,
        output_gate=plain.output_gate,
        indexer=indexer if own else None,
        top_k_tokens=top_k,
    )


def compressed_attention(keys: ArchitectureKeys, layer: int, tensors: LayerTensors) -> CompressedAttention:
    """DeepSeek V4's attention: a window, and summaries at the layer's ratio."""
    ratio = keys.count("attention.compress_ratios", layer)
    head_dim = keys.count("attention.key_length")
    is_indexed = ratio == _INDEXED_RATIO and "indexer.attn_q_b" in tensors
    indexer = None
    if is_indexed:
        indexer = Indexer(
            n_heads=keys.count("attention.indexer.head_count"),
            head_dim=keys.count("attention.indexer.key_length"),
        )
    return CompressedAttention(
        n_heads=keys.count("attention.head_count", layer),
        head_dim=head_dim,
        q_lora_rank=keys.count("attention.q_lora_rank"),
        o_lora_rank=keys.count("attention.output_lora_rank"),
        o_groups=keys.count("attention.output_group_count"),
        window=keys.count("attention.sliding_window"),
        compressor=Compressor(ratio=ratio, head_dim=head_dim, overlapping=ratio == _INDEXED_RATIO)
        if ratio
        else None,
        indexer=indexer,
        top_k_entries=keys.count("attention.indexer.top_k") if is_indexed else None,
    )


def own_indexes(keys: ArchitectureKeys, n_layers: int) -> tuple[bool, ...]:
    """Which layers have an index of their own; the others follow the one before (glm-dsa.cpp, hy-v4.cpp)."""
    listed = keys.flags("attention.indexer.types", n_layers)
    if listed is not None:
        return listed
    if (
        keys.architecture == "glm-dsa"
        and (keys.maybe_count("context_length") or 0) > _LONGEST_GLM_5_1_CONTEXT
    ):
        return tuple(i < 2 or i % 4 == 2 for i in range(n_layers))
    return (True,) * n_layers
