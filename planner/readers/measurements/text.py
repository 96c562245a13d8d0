"""The text of a measurement file, read within bounds, and the JSON objects in it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from hardware.units import MIB
from planner.errors import MalformedError
from planner.quoting import quoted
from planner.readers.byte_source import read_bounded

MAX_BYTES: Final = 256 * MIB
_MAX_VALUES: Final = 6_000_000  # a detailed result holds every pause between tokens; a number takes 32 bytes


@dataclass(frozen=True, kw_only=True)
class MeasurementText:
    """What a file holds."""

    name: str
    text: str

    @cached_property
    def objects(self) -> tuple[dict[str, Any], ...] | None:
        """The objects of a JSON array, of one JSON object, or of JSON lines; None where the file is no JSON.

        Engines print lines about their devices around what was asked for, so lines before the first bracket, and
        those between JSON lines, are passed over.
        """
        start = _first_bracket(self.text)
        if start is None:
            return None
        values = self.text.count(",", start) + self.text.count("[", start)
        if values > _MAX_VALUES:
            raise MalformedError(
                f"{quoted(self.name)} holds about {values:,} JSON values; at most {_MAX_VALUES:,} are read"
            )
        found = tuple(self._objects(start))
        if not found:
            raise MalformedError(f"{quoted(self.name)} is JSON without an object in it; expected results")
        return found

    def _objects(self, start: int) -> Iterator[dict[str, Any]]:
        decoder = json.JSONDecoder()
        position: int | None = start
        while position is not None:
            try:
                value, position = decoder.raw_decode(self.text, position)
            except json.JSONDecodeError as error:
                raise MalformedError(
                    f"{quoted(self.name)} is not whole JSON: {error.msg} at line {error.lineno}, column {error.colno}; "
                    "was the benchmark stopped while it wrote?"
                ) from None
            except RecursionError:
                raise MalformedError(f"{quoted(self.name)} is nested too deeply") from None
            except ValueError:
                raise MalformedError(f"{quoted(self.name)} holds an absurdly long number") from None
            yield from (item for item in _items(value) if isinstance(item, dict))
            position = _first_bracket(self.text, position)

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """Its lines."""
        return tuple(self.text.splitlines())


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _first_bracket(text: str, start: int = 0) -> int | None:
    """Where the next line begins that opens an object or an array."""
    position = start
    while position < len(text):
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        line = text[position:end].strip()
        if line.startswith(("{", "[{", "[ {")) or line in ("[", "[]"):
            return position + len(text[position:end]) - len(text[position:end].lstrip())
        position = end + 1
    return None


def read_text(path: Path) -> MeasurementText:
    """The file's text; raises a ReadError for one that is missing, too large or not UTF-8."""
    return text_of(read_bounded(path, MAX_BYTES), str(path))


def text_of(data: bytes, name: str) -> MeasurementText:
    """The text that bytes are; raises MalformedError where they are none."""
    encoding = (
        "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    )  # what PowerShell's ">" writes
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise MalformedError(
            f"{quoted(name)} is not UTF-8 at byte {error.start:,}; save it as text in UTF-8"
        ) from None
    if "\0" in text:
        raise MalformedError(f"{quoted(name)} holds null characters; it is no file of measurements")
    return MeasurementText(name=name, text=text)
