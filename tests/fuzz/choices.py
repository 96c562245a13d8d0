"""Decisions taken from bytes: the same bytes decide the same, and a fuzzer that changes bytes changes decisions."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """Reads decisions off the front of some bytes; when they have run out, every decision is the first one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._index = 0

    def __bool__(self) -> bool:
        return self._index < len(self._data)

    def number(self, n_bytes: int = 1) -> int:
        """A number of so many bytes."""
        piece = self._data[self._index : self._index + n_bytes]
        self._index += n_bytes
        return int.from_bytes(piece, "little")

    def pick(self, options: Sequence[T]) -> T:
        """One of some options."""
        return options[self.number(1 if len(options) <= 256 else 2) % len(options)]

    def rest(self) -> bytes:
        """All bytes that are left."""
        piece = self._data[self._index :]
        self._index = len(self._data)
        return piece


_WHOLE = (0, 1, 2, 3, 4, 5, 7, 8, 16, 64, 100, 127, 128, 255, 256, 4096, 65_535, 65_536, 262_144, 2**31 - 1, 2**31,
          2**32 - 1, 2**32, 2**40, 2**53 + 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 10**30, 10**400, 10**4200)  # fmt: skip
_TEXTS = ("", "a", "0", "\0", "\n", "\x1b[31m", "\u202e", "é", "\U0001f600", "full_attention", "M", "M" * 5000, "L*-M",
          "x" * 70_000, "[", "../..", "null", "nan", "1e400", "\ud800", "gelu", "float8_e4m3fn", "int4")  # fmt: skip
_FLOATS = (0.0, -0.0, 0.5, 2.0, 1e-300, 1e308, float("inf"), float("-inf"), float("nan"), 4096.0, 0.1)


def odd_value(choices: Choices, depth: int = 0) -> object:
    """A value of any type that JSON has, odd on purpose: huge, negative, nested, of the wrong kind."""
    kind = choices.number() % (11 if depth < 3 else 7)
    match kind:
        case 0 | 1:
            return choices.pick(_WHOLE)
        case 2:
            return -choices.pick(_WHOLE)
        case 3:
            return choices.pick(_FLOATS)
        case 4:
            return choices.pick(_TEXTS)
        case 5:
            return choices.pick((None, True, False))
        case 6:
            return choices.number(3)
        case 7:
            return [odd_value(choices, depth + 1) for _ in range(choices.number() % 6)]
        case 8:
            item = odd_value(choices, depth + 1)
            return [item] * _times(item, choices.pick((1, 2, 30, 61, 4096, 4097, 100_000, 120_000)))
        case 9:
            return {choices.pick(_TEXTS): odd_value(choices, depth + 1) for _ in range(choices.number() % 6)}
        case _:
            return {str(n): choices.number() for n in range(choices.pick((1, 100, 5000)))}


def _times(item: object, wanted: int) -> int:
    """How often something is repeated: an input of megabytes takes longer to make than to refuse."""
    is_short = item is None or isinstance(item, bool | float) or (isinstance(item, int) and abs(item) < 2**64)
    return wanted if is_short or item == "M" else min(wanted, 2)


def change(value: object, choices: Choices, most_changes: int = 6) -> object:
    """A copy of some JSON in which up to so many places were changed."""
    changed = value
    for _ in range(1 + choices.number() % most_changes):
        changed = _changed_once(changed, choices)
    return changed


def _changed_once(value: object, choices: Choices) -> object:
    if isinstance(value, dict) and value:
        names = list(value)
        name = choices.pick(names)
        match choices.number() % 8:
            case 0:
                return {key: item for key, item in value.items() if key != name}
            case 1:
                return {**value, name: value[choices.pick(names)]}
            case 2:
                return {**value, choices.pick(_TEXTS): value[name]}
            case 3:
                return {**value, name: [value[name]] * _times(value[name], choices.pick((1, 2, 61, 5000)))}
            case 4 | 5 if isinstance(value[name], dict | list):
                return {**value, name: _changed_once(value[name], choices)}
            case _:
                return {**value, name: odd_value(choices)}
    if isinstance(value, list) and value:
        index = choices.number(2) % len(value)
        return [*value[:index], _changed_once(value[index], choices), *value[index + 1 :]]
    return odd_value(choices)
