"""What a multimodal model type is made of: its language model's type, and readers for the parts in front."""

from collections.abc import Callable
from dataclasses import dataclass

from planner.errors import UnknownArchitectureError
from planner.readers.config.fields import ConfigFields

# From the whole config and the language model's hidden size to a part's parameters; 0 where there is none.
PartReader = Callable[[ConfigFields, int], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapper:
    """A multimodal model type: `text` is the type of its language model where the section does not say."""

    text: str
    parts: tuple[tuple[str, PartReader], ...]
    text_at_top: bool = False  # the text fields may stand outside a section
    text_note: str | None = None  # what to tell of text fields that stand there
    told_without: tuple[
        tuple[str, str], ...
    ] = ()  # sections, and what to tell where the config leaves them out


def vision_section(config: ConfigFields) -> ConfigFields:
    """The vision tower's own fields; refused where the config leaves them out."""
    return needed_section(config, "vision_config")


def audio_section(config: ConfigFields) -> ConfigFields:
    """The audio tower's own fields; refused where the config leaves them out."""
    return needed_section(config, "audio_config")


def needed_section(config: ConfigFields, *names: str) -> ConfigFields:
    """A section of the config that a part is counted from."""
    section = config.section(*names)
    if section is None:
        raise UnknownArchitectureError(
            f"the config has no {names[0]} to count it from; use the complete config"
        )
    return section


def side(fields: ConfigFields, *names: str, default: int | None = None) -> int:
    """One side of a square, given as a number or as two equal ones."""
    value = fields.raw(*names)
    if not isinstance(value, list):
        return fields.count(*names, default=default)
    sides = fields.counts(*names) or ()
    if len(set(sides)) != 1 or not sides[0]:
        raise UnknownArchitectureError(f"{names[0]} has sides that differ; only squares are understood")
    return sides[0]


def patches(fields: ConfigFields, *, image_size: int, patch_size: int) -> int:
    """How many square patches a square image has; the sizes are the reference defaults."""
    across = side(fields, "image_size", default=image_size) // side(fields, "patch_size", default=patch_size)
    if not across:
        raise ValueError("an image_size smaller than the patch_size")
    return across**2


def refuse_unless(fields: ConfigFields, name: str, *accepted: object) -> None:
    """Refuses a part whose field asks for a variant other than those counted here; absent is accepted."""
    value = fields.raw(name)
    if value is not None and value not in accepted:
        shown = repr(value)[:40] if isinstance(value, (str, int, float, bool)) else "another kind of value"
        raise UnknownArchitectureError(f"{name} is {shown}; that variant is not understood yet")
