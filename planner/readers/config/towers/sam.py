"""Segment Anything's image encoder as a tower: GOT-OCR, DeepSeek-VL with two encoders, Unlimited-OCR."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from planner.readers.config.fields import ConfigFields
from planner.readers.config.towers.contrastive import sizes
from planner.readers.config.towers.encoders import encoder
from planner.readers.config.towers.shapes import (
    attention,
    convolution,
    encoder_layer,
    layer_norm,
    linear,
    mlp,
)
from planner.readers.config.towers.wrapper import Wrapper, needed_section, side, vision_section


def sam(section: ConfigFields) -> int:
    """SAM: positions by row and column in every layer, windows in most, and a convolutional neck."""
    hidden = section.count("hidden_size", default=768)
    n_layers = section.count("num_hidden_layers", default=12)
    head_dim = hidden // section.count("num_attention_heads", default=12)
    across = side(section, "image_size", default=1024) // side(section, "patch_size", default=16)
    window = section.maybe_count("window_size")
    window = 14 if window is None else window
    full = set(section.counts("global_attn_indexes") or (2, 5, 8, 11)) & set(range(min(n_layers, 1000)))
    by_ratio = section.has("mlp_ratio") or section.model_type == "sam_vision_model"
    inner = int(hidden * (section.number("mlp_ratio") or 4.0)) if by_ratio else 3072
    inner = section.count("mlp_dim", default=inner)
    section.unused("num_pos_feats", "scale")
    layer = 2 * layer_norm(hidden) + mlp(hidden, inner)
    layer += attention(hidden, bias=section.flag("qkv_bias", default=True), output_bias=True)
    patch = side(section, "patch_size", default=16)
    total = convolution(section.count("num_channels", default=3), hidden, patch, patch) + n_layers * layer
    if section.flag("use_abs_pos", default=True):
        total += across**2 * hidden
    if section.flag("use_rel_pos", default=True):
        n_full = n_layers if window == 0 else len(full)
        rows = n_full * (2 * across - 1) + (n_layers - n_full) * (2 * window - 1)
        total += 2 * rows * head_dim
    return total + neck(hidden, section.count("output_channels", default=256))


def neck(hidden: int, out: int) -> int:
    """Two convolutions, each with a norm."""
    return hidden * out + layer_norm(out) + out * out * 9 + layer_norm(out)


def got_ocr_tower(config: ConfigFields, _text_hidden_size: int) -> int:
    """GOT-OCR 2's encoder."""
    return sam(vision_section(config))


def got_ocr_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """Two convolutions that halve the sides, and one matrix."""
    out = vision_section(config).count("output_channels", default=256)
    total = convolution(out, 2 * out, 3, 3, bias=False)
    total += convolution(2 * out, text_hidden_size, 3, 3, bias=False)
    return total + linear(text_hidden_size, text_hidden_size)


def high_resolution_tower(config: ConfigFields, _text_hidden_size: int) -> int:
    """DeepSeek-VL's second encoder: SAM, a second neck, two convolutions and one learned weight."""
    section = needed_section(config, "high_res_vision_config")
    hidden, out = section.count("hidden_size", default=768), section.count("output_channels", default=256)
    widen = convolution(out, 2 * out, 3, 3, bias=False) + convolution(2 * out, 4 * out, 3, 3, bias=False)
    return sam(section) + neck(hidden, out) + widen + 1


def hybrid_aligner(config: ConfigFields, text_hidden_size: int) -> int:
    """One matrix for each encoder, half the text width each, and one over both."""
    low = vision_section(config).count("hidden_size", default=768)
    high = 4 * needed_section(config, "high_res_vision_config").count("output_channels", default=256)
    half = text_hidden_size // 2
    return linear(low, half) + linear(high, half) + linear(2 * half, text_hidden_size)


def unlimited_ocr_tower(config: ConfigFields, _text_hidden_size: int) -> int:
    """SAM and two convolutions, whose output is read by CLIP's layers."""
    inner = needed_section(vision_section(config), "sam_config")
    out = inner.count("output_channels", default=256)
    total = sam(inner)
    for width in inner.counts("downsample_channels") or (512, 1024):
        total += convolution(out, width, 3, 3, bias=False)
        out = width
    clip = needed_section(vision_section(config), "encoder_config")
    hidden, middle, layers = sizes(clip, hidden=1024, inner=4096, layers=24)
    across = side(clip, "image_size", default=224) // side(clip, "patch_size", default=14)
    total += hidden + (across**2 + 1) * hidden + layer_norm(hidden)
    clip.unused("num_channels")
    return total + layers * encoder_layer(hidden, middle)


def unlimited_ocr_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """One matrix over both encoders' outputs, and two learned marks."""
    section = vision_section(config)
    widths = needed_section(section, "sam_config").counts("downsample_channels") or (512, 1024)
    width = widths[-1] + needed_section(section, "encoder_config").count("hidden_size", default=1024)
    return linear(width, text_hidden_size) + 2 * text_hidden_size


WRAPPERS: Final[Mapping[str, Wrapper]] = MappingProxyType(
    {
        "deepseek_vl_hybrid": Wrapper(
            text="llama",
            parts=(
                ("vision tower", encoder("siglip_vision_model")),
                ("high-resolution tower", high_resolution_tower),
                ("vision projector", hybrid_aligner),
            ),
        ),
        "unlimited_ocr": Wrapper(
            text="unlimited_ocr_text",
            parts=(("vision tower", unlimited_ocr_tower), ("vision projector", unlimited_ocr_projector)),
        ),
    }
    | dict.fromkeys(
        ("got_ocr2", "pp_chart2table"),
        Wrapper(
            text="qwen2", parts=(("vision tower", got_ocr_tower), ("vision projector", got_ocr_projector))
        ),
    )
)
