"""The YAML block at the top of a model card, read without trusting it.

Only plain data is built, all of it text, lists and mappings: no types, no dates, no "no" that turns into
false. The parser's events are counted as they come, so a file of some kilobytes cannot become gigabytes.
"""

import re
from typing import TypeAlias

from hardware.units import KIB
from planner.errors import MalformedError
from planner.quoting import quoted

Plain: TypeAlias = "str | list[Plain] | dict[str, Plain] | None"

MAX_METADATA_BYTES = 512 * KIB
_MAX_PURE_BYTES = 64 * KIB  # without libyaml the parser is a hundred times slower
_MAX_EVENTS = 60_000
_MAX_DEPTH = 32
_MAX_ANCHORS = 100
_PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "seq", "map", "timestamp")
)
_FENCE = re.compile(r"---[ \t]*(?:\n|\Z)")
_CLOSING = re.compile(r"^(?:---|\.\.\.)[ \t]*$", re.MULTILINE)
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))


def split_front_matter(text: str) -> tuple[str | None, str]:
    """The YAML block between the first two lines of three dashes, and the text after it."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").lstrip("\n")
    opening = _FENCE.match(text)
    if opening is None:
        return None, text
    closing = _CLOSING.search(text, opening.end())
    if closing is None:  # a rule of dashes that opens the text, or a block that never ends
        return None, text
    return text[opening.end() : closing.start()], text[closing.end() :]


def parse_metadata(text: str, name: str) -> dict[str, Plain]:
    """The mapping in a card's YAML block; `name` stands in messages, already quoted."""
    value = parse_yaml(text, name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise MalformedError(f"{name} holds no mapping of names to values")
    return value


def parse_yaml(text: str, name: str) -> Plain:
    """Text, lists and mappings of one YAML document; raises MalformedError for anything else or too much."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", None)
    most = _MAX_PURE_BYTES if loader is None else MAX_METADATA_BYTES
    n_bytes = len(text.encode("utf-8", "replace"))
    if n_bytes > most:
        raise MalformedError(f"{name} has {n_bytes:,} bytes; at most {most:,} are read")
    builder = _Builder(name)
    try:
        for n_events, event in enumerate(yaml.parse(text, Loader=loader or yaml.SafeLoader)):
            if n_events > _MAX_EVENTS:
                raise MalformedError(f"{name} holds more than {_MAX_EVENTS:,} values")
            builder.take(type(event).__name__, event)
            if builder.done:
                break
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        raise MalformedError(f"{name} is not valid YAML{where}") from error
    return builder.value


class _Builder:
    """Puts the parser's events together; its own rules are narrower than YAML's."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._open: list[tuple[list[Plain] | dict[str, Plain], list[str]]] = []
        self._anchors: dict[str, Plain] = {}
        self.value: Plain = None
        self.done = False

    def take(self, kind: str, event: object) -> None:
        if kind == "DocumentEndEvent":
            self.done = True
        elif kind == "AliasEvent":
            self._add(self._scalar_of(str(getattr(event, "anchor", ""))))
        elif kind == "ScalarEvent":
            self._check_tag(event)
            value = str(getattr(event, "value", ""))
            plain = getattr(event, "style", None) in (None, "")
            scalar = None if plain and value in _NULLS else value
            anchor = getattr(event, "anchor", None)
            if anchor is not None:
                if len(self._anchors) >= _MAX_ANCHORS:
                    raise MalformedError(f"{self._name} has more than {_MAX_ANCHORS} anchors")
                self._anchors[str(anchor)] = scalar
            self._add(scalar)
        elif kind in ("SequenceStartEvent", "MappingStartEvent"):
            self._check_tag(event)
            if len(self._open) >= _MAX_DEPTH:
                raise MalformedError(f"{self._name} is nested more than {_MAX_DEPTH} levels deep")
            self._open.append(([] if kind == "SequenceStartEvent" else {}, []))
        elif kind in ("SequenceEndEvent", "MappingEndEvent"):
            self._add(self._open.pop()[0])

    def _check_tag(self, event: object) -> None:
        tag = getattr(event, "tag", None)
        if tag not in (None, "!") and tag not in _PLAIN_TAGS:
            raise MalformedError(f"{self._name} asks for a value of the type {quoted(tag)}; it is not made")

    def _scalar_of(self, anchor: str) -> Plain:
        if anchor not in self._anchors:
            raise MalformedError(
                f"{self._name} repeats the list or mapping {quoted(anchor)} by reference, which is not followed"
            )
        return self._anchors[anchor]

    def _add(self, value: Plain) -> None:
        if not self._open:
            self.value = value
            return
        container, key = self._open[-1]
        if isinstance(container, list):
            container.append(value)
        elif key:
            container[key.pop()] = value
        elif isinstance(value, str) or value is None:
            key.append(value or "")
        else:
            raise MalformedError(f"{self._name} uses a list or mapping as a name")
