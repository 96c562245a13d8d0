"""Wrappers that build a SigLIP of their own: PaddleOCR-VL, VideoLLaMA 3, Cosmos 3 Edge, Granite Docling, Janus."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from planner.errors import UnknownArchitectureError
from planner.readers.config.fields import ConfigFields
from planner.readers.config.towers.contrastive import headless, sizes
from planner.readers.config.towers.encoders import encoder
from planner.readers.config.towers.shapes import (
    convolution,
    encoder_layer,
    layer_norm,
    linear,
    two_layer_projector,
)
from planner.readers.config.towers.wrapper import Wrapper, side, vision_section


def paddle_tower(config: ConfigFields, _text_hidden_size: int) -> int:
    """PaddleOCR-VL: SigLIP without a pooling head."""
    section = vision_section(config)
    return headless(section, hidden=1152, inner=4304, layers=27, image_size=384, patch_size=14)


def paddle_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """A norm before merging, and two matrices."""
    section = vision_section(config)
    hidden = section.count("hidden_size", default=1152)
    merged = hidden * section.count("spatial_merge_size", default=2) ** 2
    return layer_norm(hidden) + linear(merged, merged) + linear(merged, text_hidden_size)


def video_llama_tower(config: ConfigFields, _text_hidden_size: int) -> int:
    """VideoLLaMA 3: the same with positions by rotation."""
    section = vision_section(config)
    hidden, inner, layers = sizes(section, hidden=768, inner=3072, layers=12)
    patch = side(section, "patch_size", default=16)
    total = convolution(section.count("num_channels", default=3), hidden, patch, patch)
    return total + layers * encoder_layer(hidden, inner) + layer_norm(hidden)


def video_llama_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """Two matrices."""
    return two_layer_projector(vision_section(config).count("hidden_size", default=768), text_hidden_size)


def cosmos_tower(config: ConfigFields, _text_hidden_size: int) -> int:
    """Cosmos 3 Edge: SigLIP 2 without a pooling head."""
    section = vision_section(config)
    hidden, inner, layers = sizes(section, hidden=1152, inner=4304, layers=27)
    patch = section.count("num_channels", default=3) * section.count("patch_size", default=16) ** 2
    total = linear(patch, hidden) + section.count("num_patches", default=256) * hidden
    return total + layers * encoder_layer(hidden, inner) + layer_norm(hidden)


def cosmos_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """A norm before merging, and two matrices through a width of its own."""
    section = vision_section(config)
    hidden = section.count("hidden_size", default=1152)
    merged = hidden * section.count("spatial_merge_size", default=2) ** 2
    middle = config.count("projector_hidden_size", default=11_520)
    return layer_norm(hidden) + linear(merged, middle) + linear(middle, text_hidden_size)


def docling_tower(config: ConfigFields, _text_hidden_size: int) -> int:
    """Granite Docling: SigLIP without a pooling head; the connector has paths of coarse and of fine patches."""
    section = vision_section(config)
    total = headless(section, hidden=768, image_size=512, patch_size=16)
    hidden = section.count("hidden_size", default=768)
    out = section.count("out_hidden_size", default=1024)
    scale = section.count("scale_factor", default=4)
    indexes = section.counts("deepstack_visual_indexes")
    n_deep = 3 if indexes is None else len(indexes)
    scales = [scale, scale // 2] if section.flag("use_fine_route", default=True) else [scale]
    for each in scales:
        merged = hidden * each**2
        deep = layer_norm(merged) + linear(merged, out) + linear(out, out)
        total += merged * out + n_deep * deep
    return total + layer_norm(hidden) + out**2 + 2 * layer_norm(out)


def density_router(config: ConfigFields, _text_hidden_size: int) -> int:
    """What chooses between the paths, where the config has one."""
    middle = config.positive("density_router_hidden_size")
    if middle is None:
        return 0
    hidden = vision_section(config).count("hidden_size", default=768)
    return linear(hidden, 1) + layer_norm(hidden) + linear(hidden, middle) + linear(middle, 1)


def janus_aligner(config: ConfigFields, _text_hidden_size: int) -> int:
    """Janus: matrices into the text width, as many as the config says."""
    section = vision_section(config)
    out = section.count("projection_dim", default=2048)
    total = linear(section.count("hidden_size", default=1024), out)
    return total + (section.count("depth", default=2) - 1) * linear(out, out)


def image_generator(config: ConfigFields, _text_hidden_size: int) -> int:
    """What Janus draws images with; not counted, and not needed for text answers."""
    config.unused("vq_config")
    raise UnknownArchitectureError("image generation is a second model that text answers do not use")


def fuyu_patches(config: ConfigFields, text_hidden_size: int) -> int:
    """Fuyu has no tower: one matrix takes patches into the text width."""
    config.unused(
        "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size"
    )
    config.unused("hidden_act", "qk_layernorm", "layer_norm_eps", "hidden_dropout", "image_size")
    patch = config.count("num_channels", default=3) * config.count("patch_size", default=30) ** 2
    return linear(patch, text_hidden_size)


WRAPPERS: Final[Mapping[str, Wrapper]] = MappingProxyType(
    {
        "paddleocr_vl": Wrapper(
            text="ernie4_5",
            parts=(("vision tower", paddle_tower), ("vision projector", paddle_projector)),
            text_at_top=True,
        ),
        "video_llama_3": Wrapper(
            text="qwen2",
            parts=(("vision tower", video_llama_tower), ("vision projector", video_llama_projector)),
        ),
        "granite_docling": Wrapper(
            text="granite_docling_text",
            parts=(("vision tower", docling_tower), ("density router", density_router)),
        ),
        "janus": Wrapper(
            text="llama",
            parts=(
                ("vision tower", encoder("janus_vision_model")),
                ("vision projector", janus_aligner),
                ("image generator", image_generator),
            ),
        ),
        "fuyu": Wrapper(text="persimmon", parts=(("vision projector", fuyu_patches),)),
        "cosmos3_edge": Wrapper(
            text="cosmos3_edge_text",
            parts=(("vision tower", cosmos_tower), ("vision projector", cosmos_projector)),
        ),
    }
)
