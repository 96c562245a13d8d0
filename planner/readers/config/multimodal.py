"""Models of several parts: which section of the config is the language model, and what stands in front of it.

A tower that is not understood, or whose section holds a structural field that nobody asked for, never hinders
sizing the language model: it is then listed without a count, and a note says what the planner would need.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from planner.errors import MalformedError, MissingFactError, UnknownArchitectureError
from planner.model.network import Tower
from planner.quoting import quoted
from planner.readers.config.architectures.registry import BUILDERS
from planner.readers.config.fields import ConfigFields
from planner.readers.config.towers.registry import WRAPPERS
from planner.readers.config.towers.wrapper import PartReader
from planner.readers.config.unread_fields import unread_structural

# Names under which configs keep the language model; an Omni model's thinker holds a text_config in turn.
_TEXT_SECTIONS: Final = ("text_config", "llm_config", "language_config")
# Sections that describe something beside the language model.
_PART_SECTION: Final = re.compile(
    r"(\w+_)?(vision|image|video|audio|speech|encoder|vit|vq|tts|talker|token2wav|code2wav|projector|adapter"
    r"|adaptor|perceiver|qformer|tokenizer_encoder|timestamp)_(config|encoder_config)"
)
_MOST_SHOWN: Final = 4
# Beside the language model: where in the text an image goes, and how it is cut into tiles.
_HARMLESS: Final = re.compile(
    r"\w+_token_index|vision_aspect_ratio|\w*image_grid_pinpoints|\w*_seq_length|\w*layer_?norm_eps"
)
# Types of text sections that other types describe.
_SECTION_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "qwen2_5_omni_text": "qwen2",
        "paddleocr_vl_text": "ernie4_5",
        "exaone4_5_text": "exaone4",
        "hunyuan_vl_text": "hunyuan_v1_dense",
    }
)


def text_part(fields: ConfigFields) -> ConfigFields:
    """The fields of the language model: a section of a multimodal config, else the config itself."""
    wrapper = WRAPPERS.get(fields.model_type)
    if wrapper is None:
        text = None if fields.model_type in BUILDERS else _root(fields).section(*_TEXT_SECTIONS)
        return fields if text is None else _named(text)
    root = _root(fields)
    text = root.section(*_TEXT_SECTIONS)
    if text is None and wrapper.text_at_top:
        fields.model_type = wrapper.text
        return fields
    if text is None:
        raise MalformedError(
            f"config.json of a {fields.label} model has no text_config section to describe its language model; "
            "use the complete config, or name the language model by itself"
        )
    if text.model_type in (fields.model_type, root.model_type):
        text.model_type = wrapper.text
    return _named(text)


def towers_in_front(
    fields: ConfigFields, model_type: str, text_hidden_size: int
) -> tuple[tuple[Tower, ...], tuple[str, ...]]:
    """The vision and audio towers of a multimodal config, and a note for each that is not counted."""
    wrapper = WRAPPERS.get(model_type)
    root = _root(fields)
    at_top = root.section(*_TEXT_SECTIONS) is None
    if wrapper is None and (model_type in BUILDERS or at_top):
        return (), ()
    towers: dict[str, Tower] = {}
    for name, reader in wrapper.parts if wrapper else ():
        tower = _tower(name, reader, root, text_hidden_size)
        if tower is not None:
            towers[name] = tower
    for level in (fields,) if root is fields else (fields, root):
        _mark_unread(towers, level, is_text=at_top and level is fields)
    if wrapper is None and not towers:
        towers["other parts"] = Tower(
            name="other parts", parameters=None, unknown="this multimodal type is not known to the planner"
        )
    shown = quoted(model_type[:60])
    notes = [note for name, note in (wrapper.told_without if wrapper else ()) if not root.has(name)]
    if wrapper is not None and wrapper.text_note is not None and at_top:
        notes.append(wrapper.text_note)
    notes += [f"{t.name} of {shown} not counted: {t.unknown}" for t in towers.values() if t.unknown]
    return tuple(towers.values()), tuple(notes)


def _root(fields: ConfigFields) -> ConfigFields:
    """Where the sections stand: the config itself, or an Omni model's thinker."""
    return fields.section("thinker_config") or fields


def _named(text: ConfigFields) -> ConfigFields:
    if text.model_type not in BUILDERS:
        text.model_type = _SECTION_TYPES.get(text.model_type, text.model_type)
    return text


def _tower(name: str, reader: PartReader, root: ConfigFields, text_hidden_size: int) -> Tower | None:
    try:
        parameters = reader(root, text_hidden_size)
    except (UnknownArchitectureError, MissingFactError) as error:
        return Tower(name=name, parameters=None, unknown=str(error))
    return Tower(name=name, parameters=parameters) if parameters else None


def _mark_unread(towers: dict[str, Tower], level: ConfigFields, *, is_text: bool) -> None:
    """Takes back the count of a tower whose section has structural fields that nobody asked for."""
    for section_name, section in level.sections():
        if section_name in _TEXT_SECTIONS or section_name == "thinker_config":
            continue
        unknown = _listed(_unread(section))
        if unknown:
            name = _name_for(section_name, towers)
            if name in towers and towers[name].unknown:
                continue  # already told why
            towers[name] = Tower(
                name=name,
                parameters=None,
                unknown=f"{section_name} has fields that are not known ({unknown})",
            )
    for key in level.unread():
        if _PART_SECTION.fullmatch(key) and isinstance(level.raw(key), dict):
            name = f"{key.removesuffix('_config')} part"[:60]
            towers[name] = Tower(name=name, parameters=None, unknown="this type is not known to have one")
    unknown = "" if is_text else _listed(_unread(level))
    if unknown:
        towers["other parts"] = Tower(
            name="other parts",
            parameters=None,
            unknown=f"the config has fields that are not known ({unknown})",
        )


def _unread(fields: ConfigFields) -> list[str]:
    return [name for name in unread_structural(fields) if not _HARMLESS.fullmatch(name)]


def _name_for(section_name: str, towers: Mapping[str, Tower]) -> str:
    """The part that a section describes, by the word they share."""
    word = section_name.partition("_")[0]
    return next((name for name in towers if name.startswith(word)), f"{word} part")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(quoted(name) for name in names[:_MOST_SHOWN])
