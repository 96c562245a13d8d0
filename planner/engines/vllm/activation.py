"""What vLLM's profile run needs beside the weights: the largest of the forward pass, the sampler and MLA's expansion.

The engine runs one step of `max_num_batched_tokens` dummy tokens, then samples for `max_num_seqs` requests
(`GPUModelRunner.profile_run`, vllm/v1/worker/gpu_model_runner.py in 0.11.0 and 0.25.1), and reserves the peak.
"""

from dataclasses import dataclass
from typing import Any, Final

from planner.engines.release import Release
from planner.engines.sharding import Parallel, attention_of, kv_heads_per_rank
from planner.engines.vllm.settings import FLASHINFER_SAMPLER, TRITON_SAMPLER
from planner.model.experts import Experts
from planner.model.feed_forward import FeedForward
from planner.model.latent import LatentAttention
from planner.model.network import LayerGroup, Network

MOE_CHUNK_TOKENS: Final = 32768  # VLLM_FUSED_MOE_CHUNK_SIZE
LATENT_WORKSPACE_TOKENS: Final = 65536
SAMPLER: Final = "sampler"  # the phase that only the last pipeline stage runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The largest step that the engine takes: tokens computed, requests sampled for, and the longest request."""

    n_tokens: Any
    n_sequences: Any
    max_model_len: int
    element_bytes: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One phase of the profile run and what it needs at its fullest."""

    name: str
    n_bytes: float
    source: str


def sampler_bytes_per_logit(version: Release) -> float:
    """Bytes per vocabulary entry and request that sampling holds at once.

    With a sort (until 0.16): logits in bf16 and f32, sorted values, 64-bit indices and the sort's own buffers, 38.3
    bytes; measured with 0.11.0 for vocabularies of 128,256, 151,936 and 201,088 at 1024 requests, within 0.6 %.
    Triton's top-k and top-p works in place: logits (2 + 4), probabilities and noise (4 + 4). FlashInfer draws without
    noise: 2 + 4 + 4. The last two are read from vllm/v1/sample/ops/topk_topp_sampler.py and not measured.
    """
    if version >= FLASHINFER_SAMPLER:
        return 10.0
    return 14.0 if version >= TRITON_SAMPLER else 38.3


def phases(network: Network, step: Step, ranks: Parallel, version: Release) -> tuple[Phase, ...]:
    """Every phase; the profile run's peak is the largest."""
    hidden = step.n_tokens * network.hidden_size * step.element_bytes
    sampler = sampler_bytes_per_logit(version) * step.n_sequences * network.vocab_size + hidden
    found = [
        Phase(
            name="forward pass",
            n_bytes=max(_layer_bytes(network, group, step, ranks) for group in network.groups),
            source="(6·I + 6·H) bytes per token; vLLM 0.6.3 and a recorded RTX 3090 (within 1 %)",
        ),
        Phase(
            name=SAMPLER,
            n_bytes=sampler,
            source=f"{sampler_bytes_per_logit(version):g} bytes per request and vocabulary entry",
        ),
    ]
    expansion = _latent_expansion_bytes(network, step, ranks)
    if expansion:
        found.append(
            Phase(
                name="MLA prompt expansion",
                n_bytes=expansion + hidden,
                source="K and V of every head for the chunked-prefill workspace (mla_attention.py)",
            )
        )
    return tuple(found)


def peak(found: tuple[Phase, ...]) -> Phase:
    """The phase that needs most."""
    return max(found, key=lambda phase: phase.n_bytes)


def _layer_bytes(network: Network, group: LayerGroup, step: Step, ranks: Parallel) -> Any:
    """Live tensors of one layer: residual, input and output of width H, and the widest inner pair.

    A gated block holds gate and up (2·I) and their product (I) at once: 2·(3·I / TP + 3·H) bytes per token, which is
    110,592 for Llama 3.1 8B; a recorded run shows 109,800.
    """
    return (
        max(_block_width(group, ranks, network.hidden_size), _mixer_width(group, ranks))
        + 3 * network.hidden_size
    ) * (step.element_bytes * step.n_tokens)


def _block_width(group: LayerGroup, ranks: Parallel, hidden_size: int) -> float:
    block = group.block
    if isinstance(block, Experts):
        # fused_experts: the first product and the last share a buffer, the activation has its own.
        inner = block.intermediate_size / ranks.expert_tensor
        width = block.expert_hidden_size or hidden_size
        routed = block.n_active * (max((2 if block.gated else 1) * inner, width) + inner)
        dense = [part for part in (block.shared, block.residual) if part is not None]
        return routed + sum(_dense_width(part, ranks) for part in dense)
    if isinstance(block, FeedForward):
        return _dense_width(block, ranks)
    return 0.0


def _dense_width(block: FeedForward, ranks: Parallel) -> float:
    return (3 if block.gated else 2) * block.intermediate_size / ranks.attention


def _mixer_width(group: LayerGroup, ranks: Parallel) -> float:
    mixer, n = group.mixer, ranks.attention
    if isinstance(mixer, LatentAttention):
        heads = mixer.n_heads / n
        head = mixer.qk_nope_head_dim + mixer.qk_rope_head_dim
        return heads * (2 * head + mixer.qk_nope_head_dim + 2 * mixer.v_head_dim) + mixer.kv_lora_rank
    attention = attention_of(mixer)
    if attention is not None:
        kv = kv_heads_per_rank(attention.n_kv_heads, n) * (attention.key_head_dim + attention.value_head_dim)
        query = attention.n_heads / n * attention.key_head_dim
        return query * (2 if attention.output_gate == "in_query" else 1) + kv + query
    if mixer is not None:
        # A recurrent layer's in-projection and its convolved copy.
        return 2 * max((w.shape[-1] for w in mixer.weights(1) if len(w.shape) == 2), default=0) / n
    return 0.0


def _latent_expansion_bytes(network: Network, step: Step, ranks: Parallel) -> float:
    """K and V of all the rank's heads for the tokens of the workspace: min(8 lengths, 64 Ki) tokens."""
    mixers = [group.mixer for group in network.groups if isinstance(group.mixer, LatentAttention)]
    if not mixers:
        return 0.0
    n_tokens = min(8 * step.max_model_len, LATENT_WORKSPACE_TOKENS)
    width = max(m.n_heads * (m.qk_nope_head_dim + m.v_head_dim) for m in mixers) / ranks.attention
    return n_tokens * width * step.element_bytes
