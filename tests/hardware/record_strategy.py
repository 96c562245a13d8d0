"""Any record of a type, for hypothesis: built from the types of its fields, so that a new field is covered too."""

import dataclasses
import types
from collections.abc import Mapping
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

_MAX_ITEMS = 2  # enough to tell one from many, and machines stay small enough to shrink


def records(kind: type) -> st.SearchStrategy[Any]:
    """Records of `kind` with every field drawn from its type; numbers are positive, as on real machines."""
    hints = get_type_hints(kind)
    fields = {field.name: _values(hints[field.name]) for field in dataclasses.fields(kind)}
    return st.builds(kind, **fields)


def _values(kind: Any) -> st.SearchStrategy[Any]:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return st.one_of(*(_values(one) for one in inner))
    if kind is types.NoneType:
        return st.none()
    if origin is Literal:
        return st.sampled_from(inner)
    if origin is tuple and inner[-1] is Ellipsis:
        return st.lists(_values(inner[0]), max_size=_MAX_ITEMS).map(tuple)
    if origin is tuple:
        return st.tuples(*(_values(one) for one in inner))
    if origin is frozenset:
        return st.frozensets(_values(inner[0]), max_size=_MAX_ITEMS)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return st.dictionaries(_values(inner[0]), _values(inner[1]), max_size=_MAX_ITEMS)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return st.deferred(lambda: records(kind))
    simple: dict[Any, st.SearchStrategy[Any]] = {
        str: st.text(max_size=8),
        bool: st.booleans(),
        int: st.integers(1, 2**63 - 1),
        float: st.floats(min_value=1e-300, max_value=1e300),
    }
    return simple[kind]
