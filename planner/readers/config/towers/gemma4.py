"""Gemma 4: a vision tower in every size, an audio tower in the small ones, and one matrix behind each."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from planner.readers.config.fields import ConfigFields
from planner.readers.config.towers.shapes import depthwise, layer_norm, linear
from planner.readers.config.towers.wrapper import Wrapper

_LIMITS: Final = 4  # a clipped matrix stores the lowest and highest value of its input and of its output


def gemma4_vision(config: ConfigFields, _text_hidden_size: int) -> int:
    """Norms on both sides, a gated MLP, positions by row and column; none where the config has no section."""
    section = config.section("vision_config")
    if section is None:
        return 0
    hidden = section.count("hidden_size", default=768)
    head_dim = section.count("head_dim", default=64)
    width = section.count("num_attention_heads", default=12) * head_dim
    kv_width = section.count("num_key_value_heads", default=12) * head_dim
    section.unused("global_head_dim", "default_output_length", "attention_bias")
    layer = 4 * hidden + 2 * hidden * width + 2 * hidden * kv_width + 2 * head_dim
    layer += 3 * hidden * section.count("intermediate_size", default=3072)
    layer += 7 * _LIMITS if section.flag("use_clipped_linears") else 0
    total = 3 * section.count("patch_size", default=16) ** 2 * hidden
    total += 2 * section.count("position_embedding_size", default=10_240) * hidden
    total += section.count("num_hidden_layers", default=16) * layer
    return total + (2 * hidden if section.flag("standardize") else 0)


def gemma4_vision_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """One matrix."""
    section = config.section("vision_config")
    return 0 if section is None else section.count("hidden_size", default=768) * text_hidden_size


def gemma4_audio(config: ConfigFields, _text_hidden_size: int) -> int:
    """A conformer: two MLPs around attention and a light convolution, positions relative."""
    section = config.section("audio_config")
    if section is None:
        return 0
    hidden = section.count("hidden_size", default=1024)
    section.unused("conf_attention_chunk_size", "residual_weight", "attention_chunk_size")
    first, second = _channels(section)
    n_heads = section.count("num_attention_heads", default=8)
    width = hidden // n_heads * n_heads
    limits = _LIMITS if section.flag("use_clipped_linears", default=True) else 0
    feed_forward = 8 * hidden**2 + 2 * hidden + 2 * limits
    mixing = 3 * hidden * width + hidden**2 + hidden * width + width // n_heads + 4 * limits
    light = 3 * hidden**2 + 2 * hidden + 2 * limits
    light += depthwise(hidden, section.count("conv_kernel_size", default=5), bias=False)
    layer = 2 * feed_forward + mixing + light + 3 * hidden
    total = 9 * first + first + 9 * first * second + second
    total += first // 4 * second * hidden
    total += section.count("num_hidden_layers", default=12) * layer
    out = section.count("output_proj_dims", default=1536)
    return total + hidden * out + out


def gemma4_audio_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """One matrix."""
    section = config.section("audio_config")
    return 0 if section is None else section.count("output_proj_dims", default=1536) * text_hidden_size


def unified_vision(config: ConfigFields, text_hidden_size: int) -> int:
    """Gemma 4 without a tower: patches through norms and one matrix, positions by row and column."""
    section = config.section("vision_config")
    if section is None:
        return 0
    side = section.count("patch_size", default=16) * section.count("pooling_kernel_size", default=3)
    side = section.count("model_patch_size", default=side)
    width = section.count("mm_embed_dim", default=3840)
    total = layer_norm(3 * side**2) + linear(3 * side**2, width) + 2 * layer_norm(width)
    total += 2 * section.count("mm_posemb_size", default=1120) * width
    return total + section.count("output_proj_dims", default=3840) * text_hidden_size


def unified_audio(config: ConfigFields, text_hidden_size: int) -> int:
    """Gemma 4 without a tower: one matrix from frames of sound."""
    section = config.section("audio_config")
    if section is None:
        return 0
    return section.count("output_proj_dims", "audio_embed_dim", default=640) * text_hidden_size


def _channels(section: ConfigFields) -> tuple[int, int]:
    channels = section.counts("subsampling_conv_channels") or (128, 32)
    if len(channels) != 2:
        raise ValueError(f"subsampling_conv_channels has {len(channels)} entries, expected 2")
    return channels[0], channels[1]


WRAPPERS: Final[Mapping[str, Wrapper]] = MappingProxyType(
    {
        "gemma4": Wrapper(
            text="gemma4_text",
            parts=(
                ("vision tower", gemma4_vision),
                ("vision projector", gemma4_vision_projector),
                ("audio tower", gemma4_audio),
                ("audio projector", gemma4_audio_projector),
            ),
        ),
        "gemma4_unified": Wrapper(
            text="gemma4_unified_text",
            parts=(("vision projector", unified_vision), ("audio projector", unified_audio)),
        ),
    }
)
