"""Which multimodal `model_type` is read how: one line per family file."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from planner.readers.config.towers import (
    conformer,
    gemma3n,
    gemma4,
    glm,
    idefics,
    intern,
    llama_vision,
    llava,
    minicpm,
    mistral,
    moon_vit,
    muse,
    own_vision,
    phi,
    qwen,
    sam,
    siglip_kin,
    whisper,
)
from planner.readers.config.towers.wrapper import Wrapper

WRAPPERS: Final[Mapping[str, Wrapper]] = MappingProxyType(
    {
        **conformer.WRAPPERS,
        **gemma3n.WRAPPERS,
        **gemma4.WRAPPERS,
        **glm.WRAPPERS,
        **idefics.WRAPPERS,
        **intern.WRAPPERS,
        **llama_vision.WRAPPERS,
        **llava.WRAPPERS,
        **minicpm.WRAPPERS,
        **mistral.WRAPPERS,
        **moon_vit.WRAPPERS,
        **muse.WRAPPERS,
        **own_vision.WRAPPERS,
        **phi.WRAPPERS,
        **qwen.WRAPPERS,
        **sam.WRAPPERS,
        **siglip_kin.WRAPPERS,
        **whisper.WRAPPERS,
    }
)
