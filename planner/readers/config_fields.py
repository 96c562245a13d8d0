"""Typed, bounded access to a model's config.json, remembering which fields were understood."""

from collections.abc import Iterable, Mapping
from typing import Final

from planner.errors import MalformedError, MissingFactError

_LARGEST: Final = 2**40  # no real dimension comes near; larger ones are broken or hostile


class ConfigFields:
    """The fields of one config, each read through a typed accessor that takes every name it goes by.

    Fields that nobody asked for can be listed afterwards, so that a structural field the planner does not
    know is refused by name instead of ignored.
    """

    def __init__(self, values: Mapping[str, object], model_type: str, parent: "ConfigFields | None" = None):
        self._values = values
        self._read: set[str] = set()
        self.model_type = model_type
        self.parent = parent

    def _find(self, names: Iterable[str]) -> tuple[str, object] | None:
        for name in names:
            self._read.add(name)
        for name in names:
            if self._values.get(name) is not None:
                return name, self._values[name]
        return None

    def count(self, *names: str, default: int | None = None) -> int:
        """A positive whole number; without a default its absence is an error that names the field."""
        value = self.maybe_count(*names)
        if value is not None:
            return value
        if default is None:
            raise MissingFactError(
                f"config.json of a {self.model_type} model has no {names[0]!r}; "
                "the planner does not guess it: add the field or use a complete config"
            )
        return default

    def maybe_count(self, *names: str, zero_ok: bool = True) -> int | None:
        """A whole number or None when absent; 0 stands for absent unless zero_ok."""
        found = self._find(names)
        if found is None:
            return None
        name, value = found
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
            raise MalformedError(f"config.json: {name!r} is {_shown(value)}, expected a whole number")
        number = int(value)
        if not 0 <= number <= _LARGEST:
            raise MalformedError(f"config.json: {name!r} is {number}, expected 0 to 2**40")
        return number if number or zero_ok else None

    def positive(self, *names: str) -> int | None:
        """A positive whole number, or None when the field is absent or 0."""
        return self.maybe_count(*names, zero_ok=False)

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
        if len(value) > 100_000:
            raise MalformedError(f"config.json: {name!r} has {len(value):,} entries, expected at most 100,000")
        return tuple(value)

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
        return ConfigFields(value, model_type if isinstance(model_type, str) else self.model_type, self)

    def has(self, name: str) -> bool:
        """Whether a field is there and not null."""
        return self._find([name]) is not None

    def unread(self) -> tuple[str, ...]:
        """Fields that carry a value and that nobody asked for."""
        return tuple(k for k, v in self._values.items() if k not in self._read and v not in (None, [], {}))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "…"
