"""What every method's reader is given: the settings, the model's own element type, and how names are bounded."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from planner.errors import MalformedError, UnknownArchitectureError
from planner.model.formats.plain import Plain
from planner.model.formats.plan import NamePatterns, Style
from planner.quoting import quoted
from planner.readers.config.fields import ConfigFields

_MOST_PATTERNS: Final = 200_000  # of a name each; a model of 61 layers of 512 experts lists 60,000
_MOST_WILD: Final = 2_000  # with wildcards or regular expressions
_ONE_EXPERT: Final = re.compile(r"\.experts\.\d{1,5}(?=\.|$)")
_LARGEST_GROUP: Final = 500_000  # no row is longer


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One quantization section and what it says nothing about."""

    fields: ConfigFields
    kept: Plain
    architecture: str
    expert_dtype: str | None = None  # DeepSeek V4 states it outside the section


def patterns(names: Iterable[str] | None, style: Style) -> NamePatterns:
    """A bounded list of patterns; single experts stand for all of them, which are stored alike."""
    found: dict[str, None] = {}
    wild = 0
    for name in names or ():
        plain = all(char.isalnum() or char in "._-" for char in name)
        wild += not plain
        if len(found) >= _MOST_PATTERNS or wild > _MOST_WILD:
            raise MalformedError(
                f"quantization_config lists more than {_MOST_PATTERNS:,} module names or {_MOST_WILD:,} patterns; "
                "no known model has so many"
            )
        found[_ONE_EXPERT.sub(".experts.0", name) if plain else name] = None
    return NamePatterns(patterns=tuple(found), style=style)


def group_size(fields: ConfigFields, *names: str, default: int | None = 128) -> int | None:
    """Weights that share a scale; None for a whole channel, which configs write as -1 or null."""
    value = fields.raw(*names)
    if value is None:
        return default if not any(fields.has(name) for name in names) else None
    if value == -1:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _LARGEST_GROUP:
        raise MalformedError(
            f"quantization_config: {names[0]!r} is {quoted(value)}, expected a number of weights or -1"
        )
    return value


def one_of(fields: ConfigFields, name: str, allowed: Iterable[int], default: int | None = None) -> int:
    """A number out of a few."""
    choices = sorted(allowed)
    value = fields.count(name, default=default)
    if value not in choices:
        raise MalformedError(
            f"quantization_config: {name!r} is {value:,}, expected one of {', '.join(map(str, choices))}"
        )
    return value


def unknown(method: str, what: str, needed: str) -> UnknownArchitectureError:
    """The refusal of a setting whose bytes are not known."""
    return UnknownArchitectureError(f"quantization {method}: {what} is not understood; {needed}")
