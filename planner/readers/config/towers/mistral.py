"""Mistral's and LightOn's wrappers around Pixtral."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from planner.readers.config.towers.encoders import encoder
from planner.readers.config.towers.pixtral import lighton_projector, merging_projector
from planner.readers.config.towers.wrapper import Wrapper

_PIXTRAL = encoder("pixtral")

WRAPPERS: Final[Mapping[str, Wrapper]] = MappingProxyType(
    {
        "mistral3": Wrapper(
            text="mistral", parts=(("vision tower", _PIXTRAL), ("vision projector", merging_projector))
        ),
        "mistral_large4": Wrapper(
            text="mistral_large4_text",
            parts=(("vision tower", _PIXTRAL), ("vision projector", merging_projector)),
        ),
        "lighton_ocr": Wrapper(
            text="qwen3", parts=(("vision tower", _PIXTRAL), ("vision projector", lighton_projector))
        ),
    }
)
