"""Vision towers that only one family has, by maker: ERNIE, MiniMax, Molmo, Ovis, Step, LFM3, Nemotron, HunYuan."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from planner.readers.config.fields import ConfigFields
from planner.readers.config.towers.contrastive import sizes
from planner.readers.config.towers.encoders import encoder
from planner.readers.config.towers.shapes import (
    attention,
    convolution,
    depthwise,
    encoder_layer,
    layer_norm,
    linear,
    mlp,
)
from planner.readers.config.towers.wrapper import Wrapper, needed_section, patches, side, vision_section


def ernie_tower(config: ConfigFields, _text_hidden_size: int) -> int:
    """ERNIE 4.5 VL: positions by rotation, a norm after the layers."""
    section = vision_section(config)
    hidden = section.count("hidden_size", "embed_dim", default=1280)
    ratio = section.number("mlp_ratio")
    inner = section.count("intermediate_size", default=int(hidden * (ratio or 4)))
    section.unused("num_heads")
    patch = section.count("in_channels", "in_chans", default=3) * section.count("patch_size", default=14) ** 2
    total = patch * hidden + layer_norm(hidden)
    return total + section.count("depth", default=32) * encoder_layer(hidden, inner)


def ernie_resampler(config: ConfigFields, text_hidden_size: int) -> int:
    """Merges patches in space, then frames in time, two matrices and a norm each, then into the text width."""
    section = vision_section(config)
    hidden = section.count("hidden_size", "embed_dim", default=1280)
    merged = hidden * section.count("spatial_merge_size", default=2) ** 2
    frames = section.count("temporal_merge_size", default=2)
    total = 2 * (linear(merged, merged) + layer_norm(merged))
    total += linear(merged * frames, merged) + linear(merged, merged)
    return total + linear(merged, text_hidden_size) + text_hidden_size


def minimax_tower(config: ConfigFields, _text_hidden_size: int) -> int:
    """MiniMax M3 VL: positions by rotation, a norm before the layers and none after."""
    section = vision_section(config)
    hidden, inner, layers = sizes(section, hidden=1280, inner=5120, layers=32)
    section.unused("image_size")
    patch = section.count("num_channels", default=3) * section.count("temporal_patch_size", default=2)
    patch *= section.count("patch_size", default=14) ** 2
    return patch * hidden + layer_norm(hidden) + layers * encoder_layer(hidden, inner)


def minimax_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """Two matrices for each patch, and two more over merged ones."""
    section = vision_section(config)
    hidden = section.count("hidden_size", default=1280)
    middle = config.count("projector_hidden_size", default=6144)
    merge = section.count("spatial_merge_size", default=2)
    config.unused("merged_hidden_size")
    total = linear(hidden, middle) + linear(text_hidden_size * merge**2, middle)
    return total + 2 * linear(middle, text_hidden_size)


def molmo_tower(config: ConfigFields, _text_hidden_size: int) -> int:
    """Molmo 2: SigLIP's layers without a norm after them."""
    section = vision_section(config)
    hidden, inner, layers = sizes(section, hidden=1152, inner=4304, layers=25)
    head_dim = section.count("head_dim", default=72)
    n_heads = section.count("num_attention_heads", default=16)
    kv_width = section.count("num_key_value_heads", default=16) * head_dim
    section.unused("image_size")
    bias = section.flag("attention_bias", default=True)
    layer = 2 * layer_norm(hidden) + mlp(hidden, inner)
    layer += attention(hidden, width=n_heads * head_dim, kv_width=kv_width, bias=bias)
    patch = section.count("num_channels", default=3) * side(section, "patch_size", default=14) ** 2
    return (
        section.count("num_position_embeddings", default=729) * hidden
        + linear(patch, hidden)
        + layers * layer
    )


def molmo_adapter(config: ConfigFields, _text_hidden_size: int) -> int:
    """Attention over the patches of two of the tower's layers, then a gated MLP into the text width."""
    section = needed_section(config, "adapter_config")
    hidden = section.count("hidden_size", default=1152)
    seen = hidden * len(section.items("vision_feature_layer", "vit_layers") or (0, 1))
    head_dim = section.count("head_dim", default=72)
    width = section.count("num_attention_heads", default=16) * head_dim
    kv_width = section.count("num_key_value_heads", default=16) * head_dim
    bias = section.flag("attention_bias", default=True)
    total = linear(seen, width, bias=bias) + 2 * linear(seen, kv_width, bias=bias)
    total += linear(width, hidden, bias=bias)
    inner = section.count("intermediate_size", default=18_944)
    total += 2 * linear(hidden, inner, bias=section.flag("mlp_bias"))
    return total + inner * section.count("text_hidden_size", default=3584)


def ovis_tower(config: ConfigFields, _text_hidden_size: int) -> int:
    """Ovis 2: RMS norms, gated MLPs, and a head that names visual words."""
    section = vision_section(config)
    hidden, inner, layers = sizes(section, hidden=1024, inner=2816, layers=24)
    layer = 2 * hidden + attention(hidden, bias=section.flag("qkv_bias"))
    layer += mlp(hidden, inner, bias=section.flag("mlp_bias"), gated=True)
    patch = side(section, "patch_size", default=14)
    total = convolution(section.count("num_channels", default=3), hidden, patch, patch) + hidden
    total += patches(section, image_size=224, patch_size=14) * hidden + layers * layer + hidden
    words = section.count("vocab_size", default=16_384) - section.count(
        "num_visual_indicator_tokens", default=5
    )
    if words <= 0:
        raise ValueError("more visual indicator tokens than visual words")
    stride = section.count("hidden_stride", default=1)
    return total + hidden * stride**2 * words + layer_norm(words)


def ovis_words(config: ConfigFields, _text_hidden_size: int) -> int:
    """The table of visual words at the text width."""
    config.unused("vocab_size", "visual_indicator_token_ids")
    words = vision_section(config).count("vocab_size", default=16_384)
    return words * config.count("hidden_size", default=1536)


def step_tower(config: ConfigFields, _text_hidden_size: int) -> int:
    """Step 3.5 VL: scales on both halves of a layer, and two convolutions that halve the sides."""
    section = vision_section(config)
    hidden = section.count("hidden_size", "width", default=1536)
    section.unused("intermediate_size", "max_position_embeddings")  # the reference derives both
    inner = int(hidden * (section.number("mlp_ratio") or 35 / 6))
    section.unused("num_attention_heads", "heads", "layer_scale_init_value", "ls_init_value")
    patch = section.count("num_channels", default=3) * section.count("patch_size", default=14) ** 2
    total = patch * hidden + patches(section, image_size=728, patch_size=14) * hidden + layer_norm(hidden)
    layers = section.count("num_hidden_layers", "layers", default=47)
    total += layers * (encoder_layer(hidden, inner) + 2 * hidden)
    return total + convolution(hidden, 2 * hidden, 3, 3) + convolution(2 * hidden, 4 * hidden, 3, 3)


def step_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """One matrix."""
    hidden = vision_section(config).count("hidden_size", "width", default=1536)
    return linear(4 * hidden, text_hidden_size, bias=config.flag("projector_bias"))


def lfm3_tower(config: ConfigFields, _text_hidden_size: int) -> int:
    """LFM3-VL: layers of attention and layers of gated convolution, RMS norms, gated MLPs."""
    section = vision_section(config)
    hidden, inner, layers = sizes(section, hidden=1024, inner=2560, layers=14)
    head_dim = hidden // section.count("num_attention_heads", default=16)
    kv_width = section.count("num_key_value_heads", default=8) * head_dim
    kinds = section.words("layer_types")
    n_convolved = kinds.count("conv") if kinds is not None else 8
    if kinds is not None and (len(kinds) != layers or set(kinds) - {"conv", "full_attention"}):
        raise ValueError(f"layer_types of the vision tower do not describe {layers} layers")
    kernel = section.count("conv_kernel_size", default=3)
    convolved = 4 * hidden**2 + depthwise(hidden, kernel, kernel, bias=False)
    attended = attention(hidden, kv_width=kv_width, bias=False) + 2 * head_dim
    patch = section.count("in_channels", default=3) * section.count("temporal_patch_size", default=2)
    patch *= section.count("patch_size", default=16) ** 2
    total = patch * hidden + hidden + n_convolved * convolved + (layers - n_convolved) * attended
    return total + layers * (mlp(hidden, inner, bias=False, gated=True) + 2 * hidden)


def lfm3_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """A norm before merging, and two matrices through a width of its own."""
    section = vision_section(config)
    hidden = section.count("hidden_size", default=1024)
    merged = hidden * section.count("spatial_merge_size", default=2) ** 2
    middle = config.count("projector_hidden_size", default=4096)
    bias = config.flag("projector_bias", default=True)
    return (
        layer_norm(hidden) + linear(merged, middle, bias=bias) + linear(middle, text_hidden_size, bias=bias)
    )


def nemotron_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """An RMS norm over shuffled pixels, and two matrices without biases."""
    ratio = config.number("downsample_ratio") or 0.5
    if not 0.01 <= ratio <= 1:
        raise ValueError(f"a downsample_ratio of {ratio:g}; expected a share of the side, such as 0.5")
    width = config.count("vision_hidden_size", "vit_hidden_size", default=1280) * int(1 / ratio) ** 2
    middle = config.count("projector_hidden_size", default=4096)
    config.unused("force_image_size", "video_temporal_patch_size")
    return width + width * middle + middle * text_hidden_size


def hunyuan_tower(config: ConfigFields, text_hidden_size: int) -> int:
    """HunYuan VL: positions for the largest image, and a merger of convolutions with four learned marks."""
    section = vision_section(config)
    hidden, inner, layers = sizes(section, hidden=1152, inner=4304, layers=27)
    section.unused("num_key_value_heads", "out_hidden_size", "text_hidden_size", "attention_heads")
    patch = section.count("patch_size", default=16)
    across = section.count("max_image_size", default=2048) // patch
    total = convolution(section.count("num_channels", default=3), hidden, patch, patch)
    total += (across**2 + 1) * hidden + layers * encoder_layer(hidden, inner)
    merge = section.count("spatial_merge_size", default=2)
    total += convolution(hidden, 2 * hidden, merge, merge) + linear(2 * hidden, 4 * hidden)
    total += linear(4 * hidden, text_hidden_size) + 4 * hidden + 3 * text_hidden_size
    return total + hidden + text_hidden_size


WRAPPERS: Final[Mapping[str, Wrapper]] = MappingProxyType(
    {
        "ernie4_5_vl_moe": Wrapper(
            text="ernie4_5_vl_moe_text",
            parts=(("vision tower", ernie_tower), ("vision projector", ernie_resampler)),
        ),
        "minimax_m3_vl": Wrapper(
            text="minimax_m3_vl_text",
            parts=(("vision tower", minimax_tower), ("vision projector", minimax_projector)),
        ),
        "molmo2": Wrapper(
            text="molmo2_text",
            parts=(("vision tower", molmo_tower), ("vision projector", molmo_adapter)),
        ),
        "ovis2": Wrapper(text="qwen2", parts=(("vision tower", ovis_tower), ("visual words", ovis_words))),
        "step3p7": Wrapper(
            text="step3p5", parts=(("vision tower", step_tower), ("vision projector", step_projector))
        ),
        "lfm3_vl": Wrapper(
            text="lfm3", parts=(("vision tower", lfm3_tower), ("vision projector", lfm3_projector))
        ),
        "nemotron_h_omni": Wrapper(
            text="nemotron_h",
            parts=(("vision tower", encoder("radio")), ("vision projector", nemotron_projector)),
        ),
        "hunyuan_vl": Wrapper(text="hunyuan_vl_text", parts=(("vision tower", hunyuan_tower),)),
    }
)
