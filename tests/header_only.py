"""Writes header-only GGUF files of described networks: real shapes and types, the weights a hole in the file.

The engine can plan a load of such a file without its weights, which makes it the referee for our rules.
"""

from pathlib import Path
from typing import Any

from planner.model.attention import Attention
from planner.model.experts import Experts
from planner.model.feed_forward import FeedForward
from planner.model.ggml_types import type_by_name
from planner.model.network import Network
from planner.model.presets import preset_storage
from tests.gguf_writer import Tensor, Value, write_gguf

# Small stand-ins with the shapes of real families, so that a hundred engine runs stay quick.
CONFIGS: dict[str, dict[str, Any]] = {
    "llama": {
        "model_type": "llama", "hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32,
        "num_key_value_heads": 8, "intermediate_size": 8192, "vocab_size": 128_256, "head_dim": 64,
        "max_position_embeddings": 131_072, "tie_word_embeddings": True,
    },
    "qwen3": {
        "model_type": "qwen3", "hidden_size": 1024, "num_hidden_layers": 28, "num_attention_heads": 16,
        "num_key_value_heads": 8, "intermediate_size": 3072, "vocab_size": 151_936, "head_dim": 128,
        "max_position_embeddings": 40_960, "tie_word_embeddings": True,
    },
    "qwen3moe": {
        "model_type": "qwen3_moe", "hidden_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 32,
        "num_key_value_heads": 4, "intermediate_size": 6144, "moe_intermediate_size": 768, "num_experts": 128,
        "num_experts_per_tok": 8, "vocab_size": 151_936, "head_dim": 128, "max_position_embeddings": 40_960,
        "tie_word_embeddings": False,
    },
    "gemma3": {
        "model_type": "gemma3_text", "hidden_size": 2560, "num_hidden_layers": 12, "num_attention_heads": 8,
        "num_key_value_heads": 4, "intermediate_size": 10_240, "vocab_size": 262_144, "head_dim": 256,
        "max_position_embeddings": 131_072, "sliding_window": 1024, "tie_word_embeddings": True,
    },
    "gpt-oss": {
        "model_type": "gpt_oss", "hidden_size": 2880, "num_hidden_layers": 8, "num_attention_heads": 64,
        "num_key_value_heads": 8, "intermediate_size": 2880, "num_local_experts": 32, "num_experts_per_tok": 4,
        "vocab_size": 201_088, "head_dim": 64, "max_position_embeddings": 131_072, "sliding_window": 128,
        "attention_bias": True, "tie_word_embeddings": False,
    },
}  # fmt: skip
# The engine names one norm of gpt-oss otherwise than the reference code does.
_NORM_NAMES = {"gpt-oss": {"ffn_norm": "post_attention_norm"}}


def write_header_only(path: Path, architecture: str, network: Network, preset: str) -> Path:
    """A GGUF of the network at a preset that the engine accepts; a few kilobytes on disk."""
    storage = preset_storage(network, preset)
    names = _NORM_NAMES.get(architecture, {})
    tensors: list[Tensor] = []
    for weight in storage.weights:
        role = names.get(weight.role, weight.role)
        full = role if role.endswith(".bias") else f"{role}.weight"
        if weight.layer is not None:
            full = f"blk.{weight.layer}.{full}"
        tensors.append((full, weight.shape, type_by_name(weight.type_name).id, weight.n_bytes))
    write_gguf(path, _metadata(architecture, network), tensors)
    return path


def _metadata(architecture: str, network: Network) -> dict[str, Value]:
    mixer = network.groups[0].mixer
    block = network.groups[-1].block
    assert isinstance(mixer, Attention)
    windows = [g.mixer.window_tokens for g in network.groups if g.mixer is not None and g.mixer.window_tokens]
    assert isinstance(block, FeedForward | Experts)
    size = block.intermediate_size
    keys: dict[str, Value] = {
        "block_count": ("uint32", network.n_layers),
        "context_length": ("uint32", network.context_tokens),
        "embedding_length": ("uint32", network.hidden_size),
        "feed_forward_length": ("uint32", size),
        "attention.head_count": ("uint32", mixer.n_heads),
        "attention.head_count_kv": ("uint32", mixer.n_kv_heads),
        "attention.key_length": ("uint32", mixer.key_head_dim),
        "attention.value_length": ("uint32", mixer.value_head_dim),
        "attention.layer_norm_rms_epsilon": ("float32", 1e-6),
        "rope.dimension_count": ("uint32", mixer.key_head_dim),
        "rope.freq_base": ("float32", 10_000.0),
        "vocab_size": ("uint32", network.vocab_size),
    }
    if windows:
        keys["attention.sliding_window"] = ("uint32", windows[0])
    if isinstance(block, Experts):
        keys["expert_count"] = ("uint32", block.n_experts)
        keys["expert_used_count"] = ("uint32", block.n_active)
        keys["expert_feed_forward_length"] = ("uint32", size)
    return {
        "general.architecture": ("string", architecture),
        "general.file_type": ("uint32", 15),
        "tokenizer.ggml.model": ("string", "no_vocab"),
        **{f"{architecture}.{key}": value for key, value in keys.items()},
    }
