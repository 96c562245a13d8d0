"""Image encoders that any wrapper may carry, by the `model_type` of their own section."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

from planner.errors import UnknownArchitectureError
from planner.readers.config.fields import ConfigFields
from planner.readers.config.towers.contrastive import (
    clip,
    idefics2_vision,
    idefics3_vision,
    janus_vision,
    radio,
    siglip,
    siglip2,
)
from planner.readers.config.towers.intern_vit import intern_vit
from planner.readers.config.towers.pixtral import pixtral
from planner.readers.config.towers.qwen_vision import qwen2_5_vision
from planner.readers.config.towers.wrapper import PartReader, vision_section

ENCODERS: Final[Mapping[str, Callable[[ConfigFields], int]]] = MappingProxyType(
    {
        "clip_vision_model": clip,
        "siglip_vision_model": siglip,
        "siglip2_vision_model": siglip2,
        "idefics2_vision": idefics2_vision,
        "idefics2": idefics2_vision,
        "idefics3_vision": idefics3_vision,
        "idefics3": idefics3_vision,
        "smolvlm_vision": idefics3_vision,
        "janus_vision_model": janus_vision,
        "internvl_vision": intern_vit,
        "qianfan_ocr_vision": partial(intern_vit, bias=True),
        "intern_vit_6b": intern_vit,
        "pixtral": pixtral,
        "qwen2_5_vl_vision": qwen2_5_vision,
        "qwen2_5_vl": qwen2_5_vision,
        "radio": radio,
    }
)


# Widths that the reference takes where the section of an encoder does not say.
_WIDTHS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "clip_vision_model": 768,
        "siglip_vision_model": 768,
        "siglip2_vision_model": 768,
        "internvl_vision": 1024,
        "pixtral": 1024,
    }
)


def encoder_width(config: ConfigFields, default: str | None = None) -> int:
    """The width of an encoder's output; `default` is the wrapper's own encoder, for a section without a type."""
    section = vision_section(config)
    name = default if section.model_type == config.model_type else section.model_type
    return section.count("hidden_size", default=_WIDTHS.get(name or ""))


def encoder(default: str) -> PartReader:
    """A reader for whatever encoder the vision section names; `default` is the wrapper's own."""
    return partial(_encoder, default=default)


def _encoder(config: ConfigFields, _text_hidden_size: int, default: str) -> int:
    section = vision_section(config)
    name = default if section.model_type == config.model_type else section.model_type
    reader = ENCODERS.get(name)
    if name == "timm_wrapper":
        raise UnknownArchitectureError(
            "its encoder is a network of the timm library, given by name; the weight files would tell its size"
        )
    if reader is None:
        raise UnknownArchitectureError(
            f"its encoder {section.label} is not understood yet; the weight files would tell its size"
        )
    return reader(section)
