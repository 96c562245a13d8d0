"""Models of several parts: which section of the config is the language model, and what stands in front of it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from planner.errors import MalformedError, UnknownArchitectureError
from planner.model.network import Tower
from planner.readers.config_fields import ConfigFields
from planner.readers.towers.registry import REFERENCE_TOWERS, RELEASED_TOWERS, TOWERS
from planner.readers.unread_fields import refuse_unread

# Types with a vision tower; the value is the type of the text part where its section does not say.
WRAPPERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "gemma3": "gemma3_text",
        "llama4": "llama4_text",
        "qwen2_vl": "qwen2",
        "qwen2_5_vl": "qwen2",
        "qwen3_vl": "qwen3",
        "qwen3_vl_moe": "qwen3_moe",
        "qwen3_5": "qwen3_5_text",
        "qwen3_5_moe": "qwen3_5_moe_text",
        "mistral3": "mistral",
        "gemma3n": "gemma3n_text",
        "gemma4": "gemma4_text",
        "kimi_k25": "kimi_k2",
        "kimi_k3": "kimi_linear",
    }
)
_SECTION_TYPES: Final = MappingProxyType(
    {
        "qwen2_vl_text": "qwen2",
        "qwen2_5_vl_text": "qwen2",
        "qwen3_vl_text": "qwen3",
        "qwen3_vl_moe_text": "qwen3_moe",
    }
)
_TEXT_AT_TOP: Final = frozenset({"qwen2_vl", "qwen2_5_vl"})  # may keep the text fields outside a section


def text_part(fields: ConfigFields) -> ConfigFields:
    """The fields of the language model: a section of a multimodal config, else the config itself."""
    model_type = fields.model_type
    if model_type not in WRAPPERS:
        return fields
    text = fields.section("text_config", "llm_config", "language_config", "thinker_config")
    if text is None and model_type in _TEXT_AT_TOP:
        fields.model_type = WRAPPERS[model_type]
        return fields
    if text is None:
        raise MalformedError(f"config.json of a {model_type} model has no text_config section")
    inner = _SECTION_TYPES.get(text.model_type, text.model_type)
    text.model_type = WRAPPERS[model_type] if inner == model_type else inner
    return text


def towers_in_front(
    fields: ConfigFields, model_type: str, text_hidden_size: int
) -> tuple[tuple[Tower, ...], tuple[str, ...]]:
    """The vision and audio towers of a multimodal config, and notes on how they were counted."""
    if model_type not in WRAPPERS:
        return (), ()
    released = RELEASED_TOWERS.get((model_type, text_hidden_size))
    if released is not None:
        fields.unused("vision_config", "audio_config")
        refuse_unread(fields)
        return (released.tower,), (released.note,)
    if fields.has("audio_config"):
        raise UnknownArchitectureError(f"{model_type}: audio towers are not understood yet")
    vision = fields.section("vision_config")
    notes: tuple[str, ...] = ()
    if vision is None:
        reference = REFERENCE_TOWERS.get(model_type)
        if reference is None:
            raise UnknownArchitectureError(
                f"{model_type}: the model has a vision tower, but its config has no vision_config to count "
                "it from; use the complete config"
            )
        vision = ConfigFields(reference.fields, model_type, fields)
        notes = (reference.note,)
    reader = TOWERS.get(vision.model_type) or TOWERS.get(model_type)
    if reader is None:
        raise UnknownArchitectureError(f"{model_type}: vision tower {vision.label} is not understood yet")
    tower = reader(vision, text_hidden_size)
    refuse_unread(vision)
    refuse_unread(fields)
    return (tower,), notes
