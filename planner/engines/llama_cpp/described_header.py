"""The GGUF keys and tensor names of a network that is known by its config alone, for the engine to plan with.

Only families whose keys are few enough to be written from the network itself: gguf-py's constants.py and the
loaders in src/models of the llama.cpp in llama-cpp-python 0.3.36 say which. For every other family the header
of a real file is needed, since a key left out would change what the engine caches.
"""

from collections.abc import Iterator, Mapping

from planner.model.attention import Attention
from planner.model.experts import Experts
from planner.model.feed_forward import FeedForward
from planner.model.latent import LatentAttention
from planner.model.network import Mixer, Network
from planner.model.storage import Storage

# Our name of the architecture: the engine's.
FAMILIES: Mapping[str, str] = {
    "llama": "llama", "mistral": "llama", "mixtral": "llama", "internlm3": "llama", "mistral3": "mistral3",
    "ministral3": "mistral3", "qwen2": "qwen2", "qwen3": "qwen3", "qwen3_moe": "qwen3moe", "qwen2_5_vl": "qwen2vl",
    "qwen3_vl": "qwen3vl", "qwen3_vl_moe": "qwen3vlmoe", "gemma2": "gemma2", "gemma3": "gemma3",
    "gemma3_text": "gemma3", "gpt_oss": "gpt-oss", "smollm3": "smollm3", "glm4": "glm4", "granite": "granite",
    "hunyuan_v1_dense": "hunyuan-dense", "phi3": "phi3", "phimoe": "phimoe", "starcoder2": "starcoder2",
    "deepseek_v3": "deepseek2", "kimi_k2": "deepseek2",
}  # fmt: skip
# The engine names one norm of gpt-oss otherwise than the reference code does.
_ROLES: Mapping[str, Mapping[str, str]] = {"gpt-oss": {"ffn_norm": "post_attention_norm"}}
_WINDOWED = ("gemma2", "gemma3", "gpt-oss")
# Keys that the loaders insist on and that no size depends on, but for the images' layers of Qwen3-VL.
_INSISTED: Mapping[str, Mapping[str, object]] = {
    "granite": {"logit_scale": 1.0},
    "starcoder2": {"attention.layer_norm_epsilon": 1e-5},
    "qwen2vl": {"rope.dimension_sections": (16, 24, 24, 0)},
    "qwen3vl": {"rope.dimension_sections": (24, 20, 20, 0), "n_deepstack_layers": 3},
    "qwen3vlmoe": {"rope.dimension_sections": (24, 20, 20, 0), "n_deepstack_layers": 3},
    "deepseek2": {"expert_weights_scale": 2.5, "expert_weights_norm": True, "expert_gating_func": 2},
}


def header_metadata(network: Network) -> dict[str, object] | None:
    """The keys of a GGUF header for this network; None for a family whose keys are not known here."""
    architecture = FAMILIES.get(network.architecture)
    mixers = [group.mixer for group in network.groups]
    blocks = [group.block for group in network.groups]
    if architecture is None or network.context_tokens is None:
        return None
    if not all(isinstance(block, FeedForward | Experts) for block in blocks):
        return None
    wanted = LatentAttention if architecture == "deepseek2" else Attention
    if not all(type(mixer) is wanted for mixer in mixers):
        return None
    block = blocks[-1]
    dense = next((each for each in blocks if isinstance(each, FeedForward)), block)
    assert isinstance(block, FeedForward | Experts)
    assert isinstance(dense, FeedForward | Experts)
    keys: dict[str, object] = {
        "block_count": network.n_layers,
        "context_length": network.context_tokens,
        "embedding_length": network.hidden_size,
        "feed_forward_length": dense.intermediate_size,
        "attention.layer_norm_rms_epsilon": 1e-6,
        "rope.freq_base": 10_000.0,
        "vocab_size": network.vocab_size,
        **_attention_keys(mixers[0]),
        **_INSISTED.get(architecture, {}),
    }
    windows = {mixer.window_tokens for mixer in mixers if isinstance(mixer, Attention)} - {None}
    if windows and architecture in _WINDOWED:
        keys["attention.sliding_window"] = max(window for window in windows if window is not None)
    if isinstance(block, Experts):
        keys["expert_count"] = block.n_experts
        keys["expert_used_count"] = block.n_active
        keys["expert_feed_forward_length"] = block.intermediate_size
    if architecture == "deepseek2":
        keys["leading_dense_block_count"] = sum(
            len(group.layers) for group in network.groups if isinstance(group.block, FeedForward)
        )
        keys["expert_shared_count"] = 1
    return {
        "general.architecture": architecture,
        **{f"{architecture}.{key}": value for key, value in keys.items()},
    }


def _attention_keys(mixer: Mixer | None) -> dict[str, object]:
    if isinstance(mixer, LatentAttention):  # cached once for all heads: one latent and its rotary key
        return {
            "attention.head_count": mixer.n_heads,
            "attention.head_count_kv": 1,
            "attention.q_lora_rank": mixer.q_lora_rank,
            "attention.kv_lora_rank": mixer.kv_lora_rank,
            "attention.key_length": mixer.kv_lora_rank + mixer.qk_rope_head_dim,
            "attention.value_length": mixer.kv_lora_rank,
            "attention.key_length_mla": mixer.qk_nope_head_dim + mixer.qk_rope_head_dim,
            "attention.value_length_mla": mixer.v_head_dim,
            "rope.dimension_count": mixer.qk_rope_head_dim,
        }
    assert isinstance(mixer, Attention)
    return {
        "attention.head_count": mixer.n_heads,
        "attention.head_count_kv": mixer.n_kv_heads,
        "attention.key_length": mixer.key_head_dim,
        "attention.value_length": mixer.value_head_dim,
        "rope.dimension_count": mixer.key_head_dim,
    }


def header_tensors(network: Network, storage: Storage) -> Iterator[tuple[str, tuple[int, ...], str, int]]:
    """Name, shape (row length first), type and bytes of every stored tensor, by the engine's names."""
    names = _ROLES.get(FAMILIES.get(network.architecture, ""), {})
    for weight in storage.weights:
        role = names.get(weight.role, weight.role)
        full = role if role.endswith(".bias") else f"{role}.weight"
        name = full if weight.layer is None else f"blk.{weight.layer}.{full}"
        yield name, weight.shape, weight.type_name, weight.n_bytes
