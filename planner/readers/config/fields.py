"""Typed, bounded access to a model's config.json, remembering which fields were understood."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Final

from planner.errors import MalformedError, MissingFactError
from planner.quoting import quoted

_LARGEST: Final = 2**40  # no real dimension comes near; larger ones are broken or hostile
_MOST_ENTRIES: Final = 100_000
_PLAIN_NAME: Final = re.compile(r"[\w.-]{1,60}")


class ConfigFields:
    """The fields of one config, each read through a typed accessor that takes every name it goes by.

    Fields that nobody asked for can be listed afterwards, so that a structural field the planner does not
    know is refused by name instead of ignored.
    """

    def __init__(self, values: Mapping[str, object], model_type: str, parent: "ConfigFields | None" = None):
        self._values = values
        self._read: set[str] = set()
        self._sections: dict[str, ConfigFields] = {}
        # What is no plain name is kept quoted: it stands in messages, and no type of that name is known anyway.
        self.model_type = model_type if _PLAIN_NAME.fullmatch(model_type) else quoted(model_type)
        self.parent = parent

    @property
    def label(self) -> str:
        """The model type as messages show it."""
        return self.model_type

    def afresh(self) -> "ConfigFields":
        """The same fields with none of them read yet, to try another reading."""
        return ConfigFields(self._values, self.model_type, self.parent)

    def _find(self, names: Iterable[str]) -> tuple[str, object] | None:
        found = None
        for name in names:
            self._read.add(name)
            if found is None and self._values.get(name) is not None:
                found = name, self._values[name]
        return found

    def count(self, *names: str, default: int | None = None) -> int:
        """A positive whole number; without a default its absence is an error that names the field."""
        value = self.maybe_count(*names)
        if value == 0:
            raise MalformedError(
                f"config.json: {names[0]!r} of a {self.label} model is 0, expected at least 1"
            )
        if value is not None:
            return value
        if default is None:
            raise MissingFactError(
                f"config.json of a {self.label} model has no {names[0]!r}; "
                "the planner does not guess it: add the field or use a complete config"
            )
        return default

    def maybe_count(self, *names: str) -> int | None:
        """A whole number from 0, or None when absent."""
        found = self._find(names)
        if found is None:
            return None
        number = whole_number(found[1])
        if number is None:
            raise MalformedError(f"config.json: {found[0]!r} is {_shown(found[1])}, expected a whole number")
        if not 0 <= number <= _LARGEST:
            raise MalformedError(f"config.json: {found[0]!r} is {_shown(number)}, expected 0 to 2**40")
        return number

    def positive(self, *names: str) -> int | None:
        """A positive whole number, or None when the field is absent or 0."""
        return self.maybe_count(*names) or None

    def few(self, *names: str, most: int = 64) -> int:
        """A small whole number, such as how many extra layers there are; 0 when absent."""
        value = self.maybe_count(*names) or 0
        if value > most:
            raise MalformedError(f"config.json: {names[0]!r} is {value:,}, expected at most {most}")
        return value

    def number(self, *names: str) -> float | None:
        """A finite number, or None when absent."""
        found = self._find(names)
        if found is None:
            return None
        name, value = found
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= _LARGEST:
            raise MalformedError(f"config.json: {name!r} is {_shown(value)}, expected a number")
        return float(value)

    def flag(self, *names: str, default: bool = False) -> bool:
        """A true-or-false field."""
        found = self._find(names)
        if found is None:
            return default
        name, value = found
        if not isinstance(value, bool):
            raise MalformedError(f"config.json: {name!r} is {_shown(value)}, expected true or false")
        return value

    def text(self, *names: str) -> str | None:
        """A text field or None."""
        found = self._find(names)
        if found is None:
            return None
        name, value = found
        if not isinstance(value, str):
            raise MalformedError(f"config.json: {name!r} is {_shown(value)}, expected text")
        return value

    def items(self, *names: str) -> tuple[object, ...] | None:
        """A list field or None."""
        found = self._find(names)
        if found is None:
            return None
        name, value = found
        if not isinstance(value, list):
            raise MalformedError(f"config.json: {name!r} is {_shown(value)}, expected a list")
        if len(value) > _MOST_ENTRIES:
            raise MalformedError(
                f"config.json: {name!r} has {len(value):,} entries, expected at most {_MOST_ENTRIES:,}"
            )
        return tuple(value)

    def words(self, *names: str) -> tuple[str, ...] | None:
        """A list of texts, or None when absent."""
        entries = self.items(*names)
        if entries is None:
            return None
        for entry in entries:
            if not isinstance(entry, str):
                raise MalformedError(f"config.json: {names[0]!r} holds {_shown(entry)}, expected texts")
        return tuple(str(entry) for entry in entries)

    def counts(self, *names: str) -> tuple[int, ...] | None:
        """A list of whole numbers from 0, or None when absent; true and false count as 1 and 0."""
        entries = self.items(*names)
        if entries is None:
            return None
        numbers = []
        for entry in entries:
            number = int(entry) if isinstance(entry, bool) else whole_number(entry)
            if number is None or not 0 <= number <= _LARGEST:
                raise MalformedError(
                    f"config.json: {names[0]!r} holds {_shown(entry)}, expected whole numbers"
                )
            numbers.append(number)
        return tuple(numbers)

    def uniform(self, *names: str) -> int | None:
        """A positive whole number, given once or as a list that repeats it for every layer; None when absent."""
        found = self._find(names)
        if found is None or not isinstance(found[1], list):
            return self.positive(*names)
        values = set(self.counts(found[0]) or ())
        if len(values) != 1:
            raise MalformedError(
                f"config.json: {found[0]!r} differs from layer to layer, expected one number"
            )
        return values.pop() or None

    def unused(self, *names: str) -> None:
        """Marks fields that this family's reference code carries but computes nothing with."""
        self._read.update(names)

    def raw(self, *names: str) -> object:
        """A field of any type, for those that are a number in one model and a list in another."""
        found = self._find(names)
        return None if found is None else found[1]

    def section(self, *names: str) -> "ConfigFields | None":
        """A nested section, such as text_config, whose type defaults to this one's."""
        found = self._find(names)
        if found is None:
            return None
        name, value = found
        if not isinstance(value, dict):
            raise MalformedError(f"config.json: {name!r} is {_shown(value)}, expected a section")
        model_type = value.get("model_type")
        if name not in self._sections:
            self._sections[name] = ConfigFields(
                value, model_type if isinstance(model_type, str) else self.model_type, self
            )
        return self._sections[name]

    def sections(self) -> "tuple[tuple[str, ConfigFields], ...]":
        """The nested sections that were asked for, with the names they were found under."""
        return tuple(self._sections.items())

    def has(self, name: str) -> bool:
        """Whether a field is there and not null."""
        return self._find([name]) is not None

    def unread(self) -> tuple[str, ...]:
        """Fields that carry a value and that nobody asked for."""
        return tuple(k for k, v in self._values.items() if k not in self._read and v not in (None, [], {}))


def whole_number(value: object) -> int | None:
    """`value` as an int when it is one (2048 or 2048.0, not true), else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, float) and math.isfinite(value) and value == int(value) else None


def _shown(value: object) -> str:
    if isinstance(value, int) and abs(value) > _LARGEST:
        return f"a number of {value.bit_length()} bits"  # repr of thousands of digits is slow and refused
    if isinstance(value, (list, dict)):
        return f"a {'list' if isinstance(value, list) else 'section'} of {len(value)}"
    text = repr(value[:60] if isinstance(value, str) else value)
    return text if len(text) <= 40 else text[:37] + "…"
