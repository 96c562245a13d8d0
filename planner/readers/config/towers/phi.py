"""Phi-3.5 Vision and Phi-4 multimodal, as converted and as first published."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from planner.errors import UnknownArchitectureError
from planner.readers.config.fields import ConfigFields
from planner.readers.config.towers.conformer import phi4_audio, phi4_audio_projector
from planner.readers.config.towers.contrastive import clip, siglip
from planner.readers.config.towers.shapes import two_layer_projector
from planner.readers.config.towers.wrapper import Wrapper, vision_section

# The encoders that the publications name; their own repositories' configs describe them.
_NAMED_CLIP: Final[Mapping[str, Mapping[str, object]]] = MappingProxyType(
    {
        "openai/clip-vit-large-patch14-336": MappingProxyType(
            {
                "hidden_size": 1024,
                "intermediate_size": 4096,
                "num_hidden_layers": 24,
                "image_size": 336,
                "patch_size": 14,
            }
        )
    }
)


def named_clip(config: ConfigFields, _text_hidden_size: int) -> int:
    """Phi-3 Vision's encoder, given by the name of its repository."""
    processor = _processor(config)
    name = processor.text("model_name") or ""
    if name not in _NAMED_CLIP:
        raise UnknownArchitectureError("the config names an encoder that is not known by name")
    processor.unused("image_dim_out", "num_img_tokens")
    return clip(ConfigFields(_NAMED_CLIP[name], "clip_vision_model", config))


def phi3_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """Two matrices over four neighbouring patches, and two learned separators."""
    width = 4 * _processor(config).count("image_dim_out", default=1024)
    config.unused("embd_layer")
    return two_layer_projector(width, text_hidden_size) + 2 * width


def _processor(config: ConfigFields) -> ConfigFields:
    processor = config.section("img_processor")
    if processor is None:
        raise UnknownArchitectureError("the config has no img_processor that names the encoder")
    return processor


def phi4_vision(config: ConfigFields, _text_hidden_size: int) -> int:
    """SigLIP with its pooling head, and positions for an image of the crop's size."""
    section = vision_section(config)
    section.unused("crop_size", "feature_layer")
    return siglip(section, hidden=1152, inner=4304, layers=27, image_size=448, patch_size=14)


def phi4_projector(config: ConfigFields, text_hidden_size: int) -> int:
    """Two matrices and two learned separators."""
    width = vision_section(config).count("hidden_size", default=1152)
    return two_layer_projector(width, text_hidden_size) + 2 * width


def phi4_named(config: ConfigFields, _text_hidden_size: int) -> int:
    """Phi-4 multimodal as first published: encoders named in code, adapters for each kind of input."""
    config.unused("img_processor", "audio_processor", "embd_layer", "vision_lora", "speech_lora")
    raise UnknownArchitectureError(
        "the config of this publication does not describe its encoders; the converted model "
        "(model_type phi4_multimodal) does"
    )


WRAPPERS: Final[Mapping[str, Wrapper]] = MappingProxyType(
    {
        "phi3_v": Wrapper(
            text="phi3",
            parts=(("vision tower", named_clip), ("vision projector", phi3_projector)),
            text_at_top=True,
        ),
        "phi4_multimodal": Wrapper(
            text="phi3",
            parts=(
                ("vision tower", phi4_vision),
                ("vision projector", phi4_projector),
                ("audio tower", phi4_audio),
                ("audio projectors", phi4_audio_projector),
            ),
            text_at_top=True,
        ),
        "phi4mm": Wrapper(text="phi3", parts=(("vision and audio towers", phi4_named),), text_at_top=True),
    }
)
