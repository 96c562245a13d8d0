"""Which parts of a network llama.cpp computes otherwise than its makers do."""

from dataclasses import replace

from planner.model.attention import Attention
from planner.model.expanded_latent import ExpandedLatentAttention
from planner.model.indexed_attention import IndexedAttention
from planner.model.latent import LatentAttention
from planner.model.network import Mixer, Network

# Families whose windows the engine does not use: it caches the whole context (no swa_type in src/models/*).
IGNORES_WINDOWS = frozenset(
    ("mistral", "ministral", "ministral3", "mixtral", "mistral3", "phi3", "phimoe", "starcoder2", "qwen2",
     "qwen2_moe", "qwen2_vl", "qwen2_5_vl", "qwen2_5_omni", "qwen3", "qwen3_moe", "qwen3_vl", "qwen3_vl_moe",
     "qwen3_omni_moe", "smollm3", "mimo", "dots1")
)  # fmt: skip
# Families whose latent attention it runs with every head's K and V in the cache (src/models/minicpm3.cpp).
EXPANDS_LATENTS = frozenset(("minicpm3",))
# Families whose sparse index it caches with room for values (src/llama-kv-cache-msa.cpp).
INDEX_STORES_VALUES = frozenset(("minimax_m3", "minimax_m3_vl", "minimax_m3_vl_text", "minimax_m3_sparse"))


def as_run(network: Network) -> Network:
    """The network as this engine computes it: windows it does not use dropped, MLA prompts on the latent."""
    name = network.architecture
    groups = tuple(replace(group, mixer=_mixer_as_run(group.mixer, name)) for group in network.groups)
    return network if groups == network.groups else replace(network, groups=groups)


def _mixer_as_run(mixer: Mixer | None, architecture: str) -> Mixer | None:
    if isinstance(mixer, IndexedAttention) and architecture in INDEX_STORES_VALUES:
        return replace(mixer, index_v_elements=mixer.value_head_dim)
    if isinstance(mixer, Attention) and architecture in IGNORES_WINDOWS:
        return replace(mixer, window_tokens=None, chunked=False)
    if isinstance(mixer, LatentAttention) and architecture in EXPANDS_LATENTS:
        return ExpandedLatentAttention(
            n_heads=mixer.n_heads,
            q_lora_rank=mixer.q_lora_rank,
            kv_lora_rank=mixer.kv_lora_rank,
            qk_nope_head_dim=mixer.qk_nope_head_dim,
            qk_rope_head_dim=mixer.qk_rope_head_dim,
            v_head_dim=mixer.v_head_dim,
        )
    if isinstance(mixer, LatentAttention):
        return replace(mixer, absorbed_prefill=True)
    return mixer
