"""Vision towers of GLM-4.1V to GLM-5, downsampling and gated merger included."""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

from planner.readers.config.fields import ConfigFields
from planner.readers.config.towers.shapes import attention, convolution, layer_norm, mlp
from planner.readers.config.towers.wrapper import Wrapper, patches, vision_section


def glm_vision(config: ConfigFields, _text_hidden_size: int) -> int:
    """GLM-4.1V, GLM-4.5V, GLM-4.6V: learned positions, no biases in the layers."""
    section = vision_section(config)
    hidden = section.count("hidden_size", default=1536)
    section.unused("num_heads")
    out = section.count("out_hidden_size", default=4096)
    bias = section.flag("attention_bias")
    layer = 2 * hidden + attention(hidden, bias=bias, output_bias=False)
    layer += mlp(hidden, out, bias=False, gated=True)  # the layers' MLPs are as wide as the output …
    total = _patch_and_downsample(section, hidden, out) + hidden
    total += patches(section, image_size=336, patch_size=14) * hidden
    total += section.count("depth", default=24) * layer
    return total + _merger(out, section.count("intermediate_size", default=13_696))  # … and this one wider


def glm_ocr_vision(config: ConfigFields, _text_hidden_size: int, *, merger_inner: int | None = None) -> int:
    """GLM-OCR and GLM-5: biases and head norms in the layers, positions by rotation alone."""
    section = vision_section(config)
    hidden = section.count("hidden_size", default=1024)
    head_dim = hidden // section.count("num_heads", default=16)
    section.unused("image_size")
    out = section.count("out_hidden_size", default=1536)
    inner = section.count("intermediate_size", default=4096)
    bias = section.flag("attention_bias", default=True)
    layer = (
        2 * hidden + 2 * head_dim + attention(hidden, bias=bias) + mlp(hidden, inner, bias=bias, gated=True)
    )
    total = _patch_and_downsample(section, hidden, out) + section.count("depth", default=24) * layer
    middle = out * section.count("in_channels", default=3)
    if merger_inner is not None:
        middle = section.count("projection_intermediate_size", default=merger_inner)
    return total + _merger(out, middle)


def _patch_and_downsample(section: ConfigFields, hidden: int, out: int) -> int:
    """The patch embedding, the norm after the layers, and the convolution that merges patches."""
    patch = section.count("patch_size", default=14)
    merge = section.count("spatial_merge_size", default=2)
    frames = section.count("temporal_patch_size", default=2)
    channels = section.count("in_channels", default=3)
    return (
        convolution(channels, hidden, frames, patch, patch) + hidden + convolution(hidden, out, merge, merge)
    )


def _merger(out: int, inner: int) -> int:
    return out**2 + layer_norm(out) + mlp(out, inner, bias=False, gated=True)


_GLM4V = (("vision tower", glm_vision),)

WRAPPERS: Final[Mapping[str, Wrapper]] = MappingProxyType(
    {
        "glm4v_moe": Wrapper(text="glm4v_moe_text", parts=_GLM4V),
        "glm_ocr": Wrapper(text="glm_ocr_text", parts=(("vision tower", glm_ocr_vision),)),
        "glm5_next": Wrapper(
            text="glm5_next_text", parts=(("vision tower", partial(glm_ocr_vision, merger_inner=10_240)),)
        ),
    }
    | dict.fromkeys(("glm4v", "glm46v", "glmga"), Wrapper(text="glm4v_text", parts=_GLM4V))
)
