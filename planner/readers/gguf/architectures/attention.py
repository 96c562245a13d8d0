"""Attention of a layer from its tensors and keys: plain, windowed, sharing a cache, indexed, or uncached."""

from dataclasses import fields
from typing import Any

from planner.errors import UnknownArchitectureError
from planner.model.attention import Attention
from planner.model.indexed_attention import IndexedAttention, with_index
from planner.model.network import Mixer
from planner.model.uncached_attention import UncachedAttention
from planner.model.weight import Use, Weight
from planner.readers.gguf.architectures.keys import ArchitectureKeys
from planner.readers.gguf.architectures.tensor_table import LayerTensors, has


def head_dims(keys: ArchitectureKeys, *, windowed: bool) -> tuple[int, int]:
    """Widths of a key and a value head; windowed layers may have their own."""
    found = []
    for key in ("attention.key_length", "attention.value_length"):
        width = keys.maybe_count(key)
        if width is None:
            width = keys.count("embedding_length") // max(1, keys.count("attention.head_count", 0))
        own = keys.maybe_count(f"{key}_swa") if windowed else None
        found.append(width if own is None else own)
    return found[0], found[1]


def attention(
    keys: ArchitectureKeys,
    layer: int,
    tensors: LayerTensors,
    window: int | None,
    *,
    chunked: bool = False,
    shares_kv: bool = False,
) -> Attention:
    """The attention of a layer that has attn_output and attn_q or attn_qkv."""
    n_heads = keys.count("attention.head_count", layer)
    n_kv_heads = keys.maybe_count("attention.head_count_kv", layer)
    n_kv_heads = n_heads if n_kv_heads is None else n_kv_heads
    if not n_heads or not n_kv_heads:
        raise UnknownArchitectureError(
            f"GGUF architecture {keys.label}: layer {layer} has attention weights but {n_heads} heads and "
            f"{n_kv_heads} key-value heads"
        )
    key_dim, value_dim = head_dims(keys, windowed=window is not None)
    hidden_size = keys.count("embedding_length")
    fused = "attn_qkv" in tensors
    query = tensors.get("attn_q")
    in_query = query is not None and query.n_elements == 2 * hidden_size * n_heads * key_dim
    stores_kv = shares_kv and has(tensors, "attn_k", "attn_v", "attn_k_norm")
    return Attention(
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        key_head_dim=key_dim,
        value_head_dim=value_dim,
        window_tokens=window,
        chunked=chunked and window is not None,
        qkv_bias=_has_qkv_bias(tensors, fused, shares_kv),
        output_bias="attn_output.bias" in tensors,
        qk_norm=_qk_norm(tensors, n_heads, n_kv_heads, key_dim, shares_kv),
        qk_norm_bias=has(tensors, "attn_q_norm.bias", "attn_k_norm.bias"),
        sinks="attn_sinks" in tensors,
        output_gate="in_query" if in_query else _gate(tensors, hidden_size, n_heads, value_dim),
        fused_qkv=fused,
        value_is_key=not fused and not shares_kv and "attn_k" in tensors and "attn_v" not in tensors,
        shares_kv=shares_kv,
        stores_shared_kv=stores_kv,
    )


def indexed(keys: ArchitectureKeys, part: Attention, *, index_stores_values: bool) -> IndexedAttention:
    """The same attention with the sparse index that its layer also has."""
    block = keys.maybe_count("attention.indexer.block_size") or 1
    picked = keys.count("attention.indexer.top_k") * block
    return with_index(
        part,
        n_index_heads=keys.count("attention.indexer.head_count"),
        index_head_dim=keys.count("attention.indexer.key_length"),
        top_k_tokens=max(1, picked),
        index_v_elements=part.value_head_dim if index_stores_values else 0,
    )


def uncached(part: Mixer | None) -> Mixer | None:
    """The same attention in a model that keeps no cache."""
    return UncachedAttention(**_settings(part)) if isinstance(part, Attention) else part


def replaced_by_linear(tensors: LayerTensors) -> tuple[Weight, ...]:
    """The one matrix that stands in for attention in some layers of NAS models."""
    if "attn_output" not in tensors or "attn_q" in tensors or "attn_qkv" in tensors:
        return ()
    return (Weight(role="attn_output", shape=tensors["attn_output"].shape, use=Use.MATMUL),)


def _settings(part: Attention) -> dict[str, Any]:
    return {field.name: getattr(part, field.name) for field in fields(part)}


def _has_qkv_bias(tensors: LayerTensors, fused: bool, shares_kv: bool) -> bool:
    if fused:
        return "attn_qkv.bias" in tensors
    if shares_kv:
        return "attn_q.bias" in tensors
    roles = [role for role in ("attn_q", "attn_k", "attn_v") if role in tensors]
    return has(tensors, *(f"{role}.bias" for role in roles))


def _qk_norm(
    tensors: LayerTensors, n_heads: int, n_kv_heads: int, key_dim: int, shares_kv: bool
) -> Any:  # a Literal of the part
    query, key = tensors.get("attn_q_norm"), tensors.get("attn_k_norm")
    if query is None or (key is None and not shares_kv):
        return "none"
    sizes = (query.n_elements, query.n_elements if key is None else key.n_elements)
    if sizes == (key_dim, key_dim):
        return "head"
    key_width = n_kv_heads * key_dim if key is not None else n_heads * key_dim
    return "full" if sizes == (n_heads * key_dim, key_width) else "none"


def _gate(tensors: LayerTensors, hidden_size: int, n_heads: int, value_dim: int) -> Any:
    gate = tensors.get("attn_gate")
    if gate is None:
        return "none"
    if gate.n_elements == hidden_size * n_heads * value_dim:
        return "matrix"
    return "head" if gate.n_elements == hidden_size * n_heads else "none"
