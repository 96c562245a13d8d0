"""The feed-forward block of a layer from its tensors: dense, experts, or RWKV's channel mix."""

from planner.errors import MalformedError, UnknownArchitectureError
from planner.model.experts import Experts
from planner.model.feed_forward import FeedForward
from planner.model.network import Block
from planner.model.rwkv6 import Rwkv6ChannelMix
from planner.model.rwkv7 import Rwkv7ChannelMix
from planner.quoting import quoted
from planner.readers.gguf.architectures.keys import ArchitectureKeys
from planner.readers.gguf.architectures.tensor_table import LayerTensors, has
from planner.readers.gguf.file import GgufTensor


def feed_forward_block(keys: ArchitectureKeys, layer: int, tensors: LayerTensors) -> Block | None:
    """The block of a layer, None where there is none."""
    if "channel_mix_key" in tensors:
        size = keys.count("feed_forward_length", layer)
        if "channel_mix_receptance" in tensors:
            return Rwkv6ChannelMix(intermediate_size=size)
        return Rwkv7ChannelMix(intermediate_size=size)
    if "ffn_down.0" in tensors:
        raise UnknownArchitectureError(
            f"GGUF architecture {keys.label}: this file stores every expert apart, as files before April 2024 "
            "did; llama.cpp no longer loads it: use a newer conversion"
        )
    dense = _dense(tensors, "")
    down = tensors.get("ffn_down_exps")
    if down is None:
        return dense
    if len(down.shape) != 3:
        raise MalformedError(
            f"tensor {quoted(down.name)} has the shape {down.shape}, expected three dimensions"
        )
    return _experts(keys, layer, tensors, down, dense)


def _experts(
    keys: ArchitectureKeys,
    layer: int,
    tensors: LayerTensors,
    down: GgufTensor,
    dense: FeedForward | None,
) -> Experts:
    fused = "ffn_gate_up_exps" in tensors
    gated = fused or "ffn_gate_exps" in tensors
    biases = ["ffn_down_exps.bias", "ffn_up_exps.bias"] + ["ffn_gate_exps.bias"] * gated
    latent_norm = "ffn_routed_down" in tensors
    return Experts(
        n_experts=keys.count("expert_count"),
        n_active=keys.count("expert_used_count", layer),
        intermediate_size=down.shape[0],
        gated=gated,
        fused_gate=fused,
        expert_bias=not fused and has(tensors, *biases),
        router_bias="ffn_gate_inp.bias" in tensors,
        correction_bias="exp_probs_b.bias" in tensors,
        shared=_dense(tensors, "_shexp"),
        shared_gate="ffn_gate_inp_shexp" in tensors,
        residual=dense,
        expert_hidden_size=down.shape[1] if latent_norm or "ffn_latent_down" in tensors else None,
        latent_norm=latent_norm,
    )


def _dense(tensors: LayerTensors, suffix: str) -> FeedForward | None:
    down, up = tensors.get(f"ffn_down{suffix}"), tensors.get(f"ffn_up{suffix}")
    if down is None or up is None:
        return None
    size = down.shape[0]
    gated = f"ffn_gate{suffix}" in tensors
    fused = not gated and up.n_elements == 2 * down.n_elements
    biases = [f"ffn_down{suffix}.bias", f"ffn_up{suffix}.bias"] + [f"ffn_gate{suffix}.bias"] * gated
    return FeedForward(
        intermediate_size=size,
        gated=gated or fused,
        fused_gate=fused,
        bias=has(tensors, *biases),
    )
