"""Which layers see the whole context, where a config gives a window but no list of layers."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Literal

from planner.readers.config.fields import ConfigFields

WindowDefault = Literal[
    "none",
    "all",
    "even",
    "every_fourth_full",
    "every_fifth_full",
    "every_sixth_full",
    "every_sixth_and_last_full",
    "first_of_four_full",
    "fourth_from_last_full",
    "flint",
    "cohere2_moe",
    "qwen",
]
# Whether layer i of n has full attention.
_Rule = Callable[[ConfigFields, int, int], bool]


def _flint(_: ConfigFields, i: int, n: int) -> bool:
    return i < 2 or i % 4 == 1 or i == n - 1


def _cohere2_moe(fields: ConfigFields, i: int, _: int) -> bool:
    """The dense layers in front have a period of their own."""
    dense = fields.maybe_count("first_k_dense_replace") or 0
    period = fields.count("sliding_window_pattern", default=4)
    front = fields.count("prefix_dense_sliding_window_pattern", default=1)
    return (i + 1) % front == 0 if i < dense else (i - dense + 1) % period == 0


def _qwen(fields: ConfigFields, i: int, n: int) -> bool:
    first_full = fields.maybe_count("max_window_layers")
    return i < (n if first_full is None else first_full)


FULL_LAYERS: Final[Mapping[WindowDefault, _Rule]] = MappingProxyType(
    {
        "none": lambda *_: True,
        "all": lambda *_: False,
        "even": lambda _, i, __: i % 2 == 1,
        "every_fourth_full": lambda _, i, __: (i + 1) % 4 == 0,
        "every_fifth_full": lambda _, i, __: (i + 1) % 5 == 0,
        "every_sixth_full": lambda _, i, __: (i + 1) % 6 == 0,
        "every_sixth_and_last_full": lambda _, i, n: (i + 1) % 6 == 0 or i == n - 1,
        "first_of_four_full": lambda _, i, __: i % 4 == 0,
        "fourth_from_last_full": lambda _, i, n: (n - 1 - i) % 4 == 0,
        "flint": _flint,
        "cohere2_moe": _cohere2_moe,
        "qwen": _qwen,
    }
)
