"""Wrappers that build a SigLIP of their own: PaddleOCR-VL, VideoLLaMA 3, Cosmos 3 Edge."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from planner.readers.config_fields import ConfigFields
from planner.readers.towers.contrastive import headless, sizes
from planner.readers.towers.shapes import convolution, encoder_layer, layer_norm, linear, two_layer_projector
from planner.readers.towers.wrapper import Wrapper, side, vision_section


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
        "cosmos3_edge": Wrapper(
            text="cosmos3_edge_text",
            parts=(("vision tower", cosmos_tower), ("vision projector", cosmos_projector)),
        ),
    }
)
