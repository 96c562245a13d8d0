"""Muse Glimmer and Muse Spark: a vision tower with windows, and in Spark an audio tower of convolutions."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from planner.readers.config.fields import ConfigFields
from planner.readers.config.towers.contrastive import sizes
from planner.readers.config.towers.shapes import depthwise, encoder_layer, layer_norm, linear, mlp
from planner.readers.config.towers.wrapper import Wrapper, audio_section, vision_section


def muse_tower(config: ConfigFields, _text_hidden_size: int) -> int:
    """Learned positions by row and column of a window, a norm before the layers and one after."""
    section = vision_section(config)
    hidden, inner, layers = sizes(section, hidden=1536, inner=8960, layers=50)
    section.unused("merge_size", "max_position_embeddings", "layer_types")  # windows change no weight
    patch = 3 * section.count("patch_temporal", default=2) * section.count("patch_size", default=14) ** 2
    positions = section.count("pos_emb_height", default=32) * section.count("pos_emb_width", default=32)
    total = (patch + positions) * hidden + 2 * layer_norm(hidden)
    return total + layers * encoder_layer(hidden, inner)


def muse_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """Three matrices without biases."""
    middle = config.count("projector_hidden_size", default=4096)
    out = config.count("out_hidden_size", default=6144)
    return out * middle + middle**2 + middle * text_hidden_size


def muse_audio(config: ConfigFields, _text_hidden_size: int) -> int:
    """From the waveform through ever wider stages: neighbouring samples side by side, then convolutions."""
    section = audio_section(config)
    patches = section.counts("patch_sizes") or (16, 6, 5, 4)
    widths = section.counts("hidden_sizes") or (256, 512, 1024, 2048)
    depths = section.counts("depths") or (2, 2, 2, 2)
    n_stages = section.count("num_hidden_layers", default=4)
    if not len(patches) == len(widths) == len(depths) == n_stages:
        raise ValueError("patch_sizes, hidden_sizes and depths of the audio tower differ in length")
    ratio = section.number("mlp_ratio") or 4.0
    kernel = section.count("conv_kernel_size", default=7)
    total, seen = 0, 1
    for patch, width, depth in zip(patches, widths, depths, strict=True):
        block = depthwise(width, kernel) + width + mlp(width, int(width * ratio))
        total += linear(seen * patch, width) + width + depth * block
        seen = width
    out = section.count("out_hidden_size", default=8192)
    return total + seen + linear(seen, out) + out


_PARTS = (("vision tower", muse_tower), ("vision projector", muse_projector))

WRAPPERS: Final[Mapping[str, Wrapper]] = MappingProxyType(
    {
        "muse_glimmer": Wrapper(text="muse_glimmer_text", parts=_PARTS),
        "muse_spark": Wrapper(text="muse_spark_text", parts=(*_PARTS, ("audio tower", muse_audio))),
    }
)
