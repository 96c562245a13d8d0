"""What llama.cpp allocates to compute, by short rules."""

from planner.engines.llama_cpp.cache import F16_BYTES, cells_per_stream
from planner.engines.llama_cpp.flags import LlamaCppFlags
from planner.engines.llama_cpp.layout import ComputeBuffers, Layout
from planner.model.attention import Attention
from planner.model.cache import F32_BYTES
from planner.model.latent import LatentAttention
from planner.model.network import LayerGroup, Network


def compute_bytes(network: Network, flags: LlamaCppFlags) -> int:
    """The compute buffer where the output head runs: the larger of the logits and the attention phase.

    Logits: (V · outputs + 2·H · ubatch) · 4 bytes, every token of a batch an output unless flags say less; exact
    for plain attention (Llama, Qwen3, Gemma 3), within 2 % with sinks (gpt-oss). Attention: 5·H + 2·H_kv·d activations and, with flash attention, the f16 mask; without
    it, scores and mask, (h + 1) · context · ubatch · 4. MLA: absorbed queries and latent outputs of every
    head beside that, within 10 %.
    """
    n = flags.n_ubatch
    n_outputs = n if flags.n_outputs is None else min(n, flags.n_outputs)
    logits = (network.vocab_size * n_outputs + 2 * network.hidden_size * n) * F32_BYTES
    return max(logits, *(_attention_phase_bytes(network, group, flags) for group in network.groups))


def _attention_phase_bytes(network: Network, group: LayerGroup, flags: LlamaCppFlags) -> int:
    n = flags.n_ubatch
    cells = cells_per_stream(flags)
    mixer = group.mixer
    if isinstance(mixer, LatentAttention):
        latent = mixer.kv_lora_rank + mixer.qk_rope_head_dim
        head = mixer.qk_nope_head_dim + mixer.qk_rope_head_dim + mixer.v_head_dim
        inner = mixer.n_heads * (2 * latent + head)
    elif isinstance(mixer, Attention):
        inner = 5 * network.hidden_size + mixer.k_elements_per_token + mixer.v_elements_per_token
    else:
        return 0
    if flags.flash_attention:
        return inner * n * F32_BYTES + cells * n * F16_BYTES
    return (cells * (mixer.n_heads + 1) + inner) * n * F32_BYTES


def hidden_compute_bytes(network: Network, flags: LlamaCppFlags) -> int:
    """The compute buffer of a device without the output head: activations of a layer and the mask.

    Host buffers follow (context + H) · ubatch · 4 bytes in recorded logs, 24 of 37 within 5 %.
    """
    return (cells_per_stream(flags) + network.hidden_size) * flags.n_ubatch * F32_BYTES


def short_rules(network: Network, flags: LlamaCppFlags, layout: Layout) -> ComputeBuffers:
    """Compute buffers of a network whose graph is not described here."""
    head = compute_bytes(network, flags)
    hidden = hidden_compute_bytes(network, flags)
    used = {gpu for gpu in (*layout.layers, layout.head) if gpu is not None}
    return ComputeBuffers(
        gpu_bytes=tuple(
            head if gpu == layout.head else hidden if gpu in used else 0 for gpu in range(layout.n_gpus)
        ),
        host_bytes=head if layout.head is None else hidden,
    )
