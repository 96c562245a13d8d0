"""The GGUF keys and tensor names of a network that is known by its config alone, for the engine to plan with.

Only families whose keys are few enough to be written from the network itself: gguf-py's constants.py and the
loaders in src/models of the llama.cpp in llama-cpp-python 0.3.36 say which. For every other family the header
of a real file is needed, since a key left out would change what the engine caches.
"""

from collections.abc import Iterator, Mapping

from planner.model.attention import Attention
from planner.model.experts import Experts
from planner.model.feed_forward import FeedForward
from planner.model.network import Network
from planner.model.storage import Storage

# Our name of the architecture: the engine's.
FAMILIES: Mapping[str, str] = {
    "llama": "llama", "mistral": "llama", "mixtral": "llama", "qwen2": "qwen2", "qwen3": "qwen3",
    "qwen3_moe": "qwen3moe", "gemma3": "gemma3", "gemma3_text": "gemma3", "gpt_oss": "gpt-oss", "smollm3": "smollm3",
}  # fmt: skip
# The engine names one norm of gpt-oss otherwise than the reference code does.
_ROLES: Mapping[str, Mapping[str, str]] = {"gpt-oss": {"ffn_norm": "post_attention_norm"}}
_WINDOWED = ("gemma3", "gpt-oss")


def header_metadata(network: Network) -> dict[str, object] | None:
    """The keys of a GGUF header for this network; None for a family whose keys are not known here."""
    architecture = FAMILIES.get(network.architecture)
    mixers = {type(group.mixer) for group in network.groups}
    blocks = [group.block for group in network.groups]
    if architecture is None or mixers != {Attention}:
        return None
    if (
        not all(isinstance(block, FeedForward | Experts) for block in blocks)
        or network.context_tokens is None
    ):
        return None
    mixer, block = network.groups[0].mixer, blocks[-1]
    assert isinstance(mixer, Attention)
    assert isinstance(block, FeedForward | Experts)
    keys: dict[str, object] = {
        "block_count": network.n_layers,
        "context_length": network.context_tokens,
        "embedding_length": network.hidden_size,
        "feed_forward_length": block.intermediate_size,
        "attention.head_count": mixer.n_heads,
        "attention.head_count_kv": mixer.n_kv_heads,
        "attention.key_length": mixer.key_head_dim,
        "attention.value_length": mixer.value_head_dim,
        "attention.layer_norm_rms_epsilon": 1e-6,
        "rope.dimension_count": mixer.key_head_dim,
        "rope.freq_base": 10_000.0,
        "vocab_size": network.vocab_size,
    }
    windows = {g.mixer.window_tokens for g in network.groups if isinstance(g.mixer, Attention)} - {None}
    if windows and architecture in _WINDOWED:
        keys["attention.sliding_window"] = max(window for window in windows if window is not None)
    if isinstance(block, Experts):
        keys["expert_count"] = block.n_experts
        keys["expert_used_count"] = block.n_active
        keys["expert_feed_forward_length"] = block.intermediate_size
    return {
        "general.architecture": architecture,
        **{f"{architecture}.{key}": value for key, value in keys.items()},
    }


def header_tensors(network: Network, storage: Storage) -> Iterator[tuple[str, tuple[int, ...], str, int]]:
    """Name, shape (row length first), type and bytes of every stored tensor, by the engine's names."""
    names = _ROLES.get(FAMILIES.get(network.architecture, ""), {})
    for weight in storage.weights:
        role = names.get(weight.role, weight.role)
        full = role if role.endswith(".bias") else f"{role}.weight"
        name = full if weight.layer is None else f"blk.{weight.layer}.{full}"
        yield name, weight.shape, weight.type_name, weight.n_bytes
