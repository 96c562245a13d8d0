"""Recurrent token mixers of a layer: Mamba, gated DeltaNet, Kimi delta, lightning, convolutions, RWKV."""

from planner.errors import UnknownArchitectureError
from planner.model.delta_net import GatedDeltaNet
from planner.model.kimi_delta import KimiDeltaAttention
from planner.model.lightning import LightningAttention
from planner.model.mamba1 import Mamba1
from planner.model.mamba2 import Mamba2
from planner.model.network import Mixer
from planner.model.plamo_mamba import PlamoMamba
from planner.model.rwkv6 import Rwkv6TimeMix
from planner.model.rwkv7 import Rwkv7TimeMix
from planner.model.short_conv import ShortConvolution
from planner.readers.gguf.architectures.attention import head_dims
from planner.readers.gguf.architectures.keys import ArchitectureKeys
from planner.readers.gguf.architectures.tensor_table import LayerTensors, has, last_size


def recurrent_mixer(keys: ArchitectureKeys, layer: int, tensors: LayerTensors) -> Mixer | None:
    """The recurrent mixer that a layer's tensors show; None where there is none."""
    if "time_mix_k_k" in tensors:
        return _rwkv7(keys, layer, tensors)
    if "time_mix_decay" in tensors:
        return _rwkv6(keys, tensors)
    if "shortconv.conv" in tensors:
        return _short_convolution(keys, tensors)
    if "ssm_conv1d_q" in tensors:
        return _kimi_delta(keys, layer, tensors)
    if "ssm_ba" in tensors or has(tensors, "ssm_beta", "ssm_alpha"):
        return _delta_net(keys, tensors)
    if has(tensors, "ssm_in", "ssm_x"):
        return _mamba1(keys, tensors)
    if "ssm_in" in tensors:
        return _mamba2(keys, tensors)
    if has(tensors, "attn_qkv", "attn_gate", "attn_norm_2"):
        n_heads = keys.count("attention.head_count", layer)
        return LightningAttention(n_heads=n_heads, head_dim=head_dims(keys, windowed=False)[0])
    return None


def _mamba1(keys: ArchitectureKeys, tensors: LayerTensors) -> Mixer:
    inner, state = keys.count("ssm.inner_size"), keys.count("ssm.state_size")
    kernel, rank = keys.count("ssm.conv_kernel"), keys.count("ssm.time_step_rank")
    if "ssm_a" in tensors and tensors["ssm_a"].n_elements == rank != state * inner:
        return PlamoMamba(
            inner_size=inner,
            state_size=state,
            n_heads=rank,
            time_step_rank=tensors["ssm_dt"].shape[0] if "ssm_dt" in tensors else rank,
            conv_kernel=kernel,
        )
    return Mamba1(
        inner_size=inner,
        state_size=state,
        time_step_rank=rank,
        conv_kernel=kernel,
        conv_bias="ssm_conv1d.bias" in tensors,
        projection_bias=has(tensors, "ssm_in.bias", "ssm_out.bias"),
        inner_norms=has(tensors, "ssm_dt_norm", "ssm_b_norm", "ssm_c_norm"),
    )


def _mamba2(keys: ArchitectureKeys, tensors: LayerTensors) -> Mamba2:
    inner, n_heads = keys.count("ssm.inner_size"), keys.count("ssm.time_step_rank")
    if not n_heads or inner % n_heads:
        raise UnknownArchitectureError(
            f"GGUF architecture {keys.label}: a state-space layer of {inner} channels over {n_heads} heads"
        )
    return Mamba2(
        n_heads=n_heads,
        head_dim=inner // n_heads,
        state_size=keys.count("ssm.state_size"),
        n_groups=keys.count("ssm.group_count"),
        conv_kernel=keys.count("ssm.conv_kernel"),
        conv_bias="ssm_conv1d.bias" in tensors,
        projection_bias=has(tensors, "ssm_in.bias", "ssm_out.bias"),
        norm="ssm_norm" in tensors,
    )


def _delta_net(keys: ArchitectureKeys, tensors: LayerTensors) -> GatedDeltaNet:
    n_heads = keys.count("ssm.time_step_rank")
    return GatedDeltaNet(
        n_key_heads=keys.count("ssm.group_count"),
        n_value_heads=n_heads,
        key_head_dim=keys.count("ssm.state_size"),
        value_head_dim=keys.count("ssm.inner_size") // max(1, n_heads),
        conv_kernel=keys.count("ssm.conv_kernel"),
        split_beta_alpha="ssm_beta" in tensors,
        fused_gate="ssm_in" in tensors,
    )


def _kimi_delta(keys: ArchitectureKeys, layer: int, tensors: LayerTensors) -> KimiDeltaAttention:
    # Layers without keys and values say 0 heads; the engine takes the first layer's number for all.
    n_heads = keys.maybe_count("attention.head_count", layer) or keys.count("attention.head_count", 0)
    return KimiDeltaAttention(
        n_heads=n_heads,
        head_dim=keys.count("kda.head_dim"),
        conv_kernel=keys.count("ssm.conv_kernel"),
        full_rank_gate="ssm_g" in tensors,
        full_rank="ssm_f_b" not in tensors and "ssm_g_b" not in tensors,
        decay_elements=tensors["ssm_a"].n_elements if "ssm_a" in tensors else None,
    )


def _short_convolution(keys: ArchitectureKeys, tensors: LayerTensors) -> ShortConvolution:
    biases = ("shortconv.in_proj.bias", "shortconv.conv.bias", "shortconv.out_proj.bias")
    return ShortConvolution(
        width=keys.count("embedding_length"),
        conv_kernel=keys.count("shortconv.l_cache"),
        bias=has(tensors, *biases),
    )


def _rwkv6(keys: ArchitectureKeys, tensors: LayerTensors) -> Rwkv6TimeMix:
    hidden_size = keys.count("embedding_length")
    shifts = keys.maybe_count("token_shift_count")
    biases = ("time_mix_receptance.bias", "time_mix_key.bias", "time_mix_value.bias")
    return Rwkv6TimeMix(
        width=hidden_size,
        head_dim=keys.count("wkv.head_size"),
        shift_rank=keys.count("time_mix_extra_dim"),
        decay_rank=keys.count("time_decay_extra_dim"),
        key_value_width=last_size(tensors, "time_mix_key", hidden_size) or hidden_size,
        separate_shifts="time_mix_lerp_w" in tensors,
        fused_shifts="time_mix_lerp_fused" in tensors,
        bonus="time_mix_first" in tensors,
        norm="time_mix_ln" in tensors,
        bias=has(tensors, *biases),
        n_token_shifts=2 if shifts is None else shifts,
    )


def _rwkv7(keys: ArchitectureKeys, layer: int, tensors: LayerTensors) -> Rwkv7TimeMix:
    shifts = keys.maybe_count("token_shift_count")
    return Rwkv7TimeMix(
        width=keys.count("embedding_length"),
        head_dim=keys.count("wkv.head_size"),
        decay_rank=keys.count("attention.decay_lora_rank"),
        learning_rate_rank=keys.count("attention.iclr_lora_rank"),
        # The first layer's are stored at another rank and never used.
        value_rank=keys.count("attention.value_residual_mix_lora_rank") if layer else None,
        gate_rank=keys.maybe_count("attention.gate_lora_rank") if "time_mix_g1" in tensors else None,
        norm="time_mix_ln" in tensors,
        n_token_shifts=2 if shifts is None else shifts,
    )
