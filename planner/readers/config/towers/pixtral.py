"""Pixtral: Mistral's image encoder, and the projector with a patch merger behind it."""

from planner.readers.config.fields import ConfigFields
from planner.readers.config.towers.contrastive import sizes
from planner.readers.config.towers.shapes import attention, linear, mlp
from planner.readers.config.towers.wrapper import side, vision_section


def pixtral(section: ConfigFields) -> int:
    """The encoder: no biases, RMS norms, a gated MLP, positions by rotation."""
    hidden, inner, layers = sizes(section, hidden=1024, inner=4096, layers=24)
    section.unused("head_dim", "image_size")  # only for the rotation
    width = side(section, "patch_size", default=16)
    layer = 2 * hidden + attention(hidden, bias=False) + mlp(hidden, inner, bias=False, gated=True)
    return section.count("num_channels", default=3) * width**2 * hidden + hidden + layers * layer


def merging_projector(config: ConfigFields, text_hidden_size: int, *, bias: bool = False) -> int:
    """A norm, a merger of neighbouring patches, and two matrices into the text width."""
    hidden = vision_section(config).count("hidden_size", default=1024)
    merge = config.count("spatial_merge_size", default=2)
    bias = config.flag("multimodal_projector_bias", default=bias)
    layers = config.raw("vision_feature_layer")
    n_features = len(layers) if isinstance(layers, list) and layers else 1
    total = hidden + merge**2 * hidden * hidden
    total += linear(n_features * hidden, text_hidden_size, bias=bias)
    return total + linear(text_hidden_size, text_hidden_size, bias=bias)


def lighton_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """LightOnOCR's: the same, never with biases."""
    hidden = vision_section(config).count("hidden_size", default=1024)
    merge = config.count("spatial_merge_size", default=2)
    return hidden + merge**2 * hidden**2 + hidden * text_hidden_size + text_hidden_size**2
