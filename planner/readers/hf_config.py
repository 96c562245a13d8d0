"""Reads a hub `config.json` into a network: which architecture, and what its fields say.

Every supported `model_type` is listed in `architectures/registry.py`. A type that is not, or a
structural field that nobody asked for, is refused by name: a silent wrong number is worse than none.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final

from planner.errors import MalformedError, UnknownArchitectureError
from planner.model.network import Network, Tower
from planner.readers.architectures.harmless_fields import HARMLESS_FIELDS
from planner.readers.architectures.registry import BUILDERS
from planner.readers.architectures.vision import REFERENCE_TOWERS, RELEASED_TOWERS, TOWERS
from planner.readers.config_fields import ConfigFields
from planner.readers.quoting import quoted

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
# Words that mark a field as describing shapes: unread, it may hide a part the planner does not know.
STRUCTURAL: Final = re.compile(
    r"(^|_)(experts?|moe|heads?|layers?|hidden|intermediate|ffn|mlp|lora|rank|latent|ssm|mamba|conv|embed"
    r"|window|blocks?|compress|ratios?|sinks?|gate|shared|dense|altup|laurel|mtp|nextn|index|kv|bias|norm"
    r"|state|channels?|cla)(_|$)"
)


def network_from_config(config: Mapping[str, object]) -> Network:
    """The network that a config.json describes.

    Raises UnknownArchitectureError for a type or part the planner does not know, MissingFactError for an
    absent field without a reference default, MalformedError for a value of the wrong kind.
    """
    model_type = config.get("model_type")
    if not isinstance(model_type, str):
        raise MalformedError("config.json has no model_type; the planner needs it to know the architecture")
    fields = ConfigFields(config, model_type)
    text = _text_part(fields, model_type)
    builder = BUILDERS.get(text.model_type)
    if builder is None:
        raise UnknownArchitectureError(_unknown_type(text.model_type))
    towers: tuple[Tower, ...] = ()
    try:
        network = builder(text)
        notes = network.notes
        if model_type in WRAPPERS:
            towers, tower_notes = _towers(fields, model_type, network.hidden_size)
            notes += tower_notes
    except ValueError as error:
        raise MalformedError(f"config.json of a {fields.label} model contradicts itself: {error}") from error
    refuse_unread(text)
    return replace(network, architecture=model_type, towers=towers, notes=notes)


def _text_part(fields: ConfigFields, model_type: str) -> ConfigFields:
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


def _towers(
    fields: ConfigFields, model_type: str, text_hidden_size: int
) -> tuple[tuple[Tower, ...], tuple[str, ...]]:
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


def refuse_unread(fields: ConfigFields) -> None:
    """Raise UnknownArchitectureError when a structural field carries a value that nobody asked for."""
    unknown = [
        name
        for name in fields.unread()
        if STRUCTURAL.search(name) and name not in HARMLESS_FIELDS and fields.raw(name) not in (False, 0, "")
    ]
    if unknown:
        shown = ", ".join(quoted(name) for name in unknown[:4])
        raise UnknownArchitectureError(
            f"{fields.label}: the config has fields this planner does not know ({shown}); "
            "its numbers could be wrong, so it gives none"
        )


def _unknown_type(model_type: str) -> str:
    near = get_close_matches(model_type[:60], [*BUILDERS, *WRAPPERS], n=2)
    hint = f"; the nearest known are {' and '.join(near)}" if near else ""
    return f"model_type {quoted(model_type[:60])} is not understood yet{hint}"
