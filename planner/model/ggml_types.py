"""The tensor types of ggml: how many bytes a block of weights takes in a GGUF file.

Numbers and names follow `enum ggml_type` (ggml.h) and the block structs (ggml-common.h) of llama.cpp as
vendored in llama-cpp-python 0.3.36. Types that were removed from the format are listed by name, so that
an old file can be refused with a reason.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from planner.errors import MissingFactError


@dataclass(frozen=True, slots=True, kw_only=True)
class GgmlType:
    """One storage type: `block_elements` weights of a row are stored together in `block_bytes` bytes."""

    id: int
    name: str
    block_elements: int
    block_bytes: int

    @property
    def bits_per_weight(self) -> float:
        """Bits that one weight takes, scales included."""
        return self.block_bytes * 8 / self.block_elements


# id, name, weights per block, bytes per block
_ROWS = (
    (0, "F32", 1, 4),
    (1, "F16", 1, 2),
    (2, "Q4_0", 32, 18),
    (3, "Q4_1", 32, 20),
    (6, "Q5_0", 32, 22),
    (7, "Q5_1", 32, 24),
    (8, "Q8_0", 32, 34),
    (9, "Q8_1", 32, 36),
    (10, "Q2_K", 256, 84),
    (11, "Q3_K", 256, 110),
    (12, "Q4_K", 256, 144),
    (13, "Q5_K", 256, 176),
    (14, "Q6_K", 256, 210),
    (15, "Q8_K", 256, 292),
    (16, "IQ2_XXS", 256, 66),
    (17, "IQ2_XS", 256, 74),
    (18, "IQ3_XXS", 256, 98),
    (19, "IQ1_S", 256, 50),
    (20, "IQ4_NL", 32, 18),
    (21, "IQ3_S", 256, 110),
    (22, "IQ2_S", 256, 82),
    (23, "IQ4_XS", 256, 136),
    (24, "I8", 1, 1),
    (25, "I16", 1, 2),
    (26, "I32", 1, 4),
    (27, "I64", 1, 8),
    (28, "F64", 1, 8),
    (29, "IQ1_M", 256, 56),
    (30, "BF16", 1, 2),
    (34, "TQ1_0", 256, 54),
    (35, "TQ2_0", 256, 66),
    (39, "MXFP4", 32, 17),
    (40, "NVFP4", 64, 36),
    (41, "Q1_0", 128, 18),
    (42, "Q2_0", 64, 18),
)

GGML_TYPES: Mapping[int, GgmlType] = MappingProxyType(
    {
        type_id: GgmlType(id=type_id, name=name, block_elements=elements, block_bytes=n_bytes)
        for type_id, name, elements, n_bytes in _ROWS
    }
)

REMOVED_GGML_TYPES: Mapping[int, str] = MappingProxyType(
    {
        4: "Q4_2",
        5: "Q4_3",
        31: "Q4_0_4_4",
        32: "Q4_0_4_8",
        33: "Q4_0_8_8",
        36: "IQ4_NL_4_4",
        37: "IQ4_NL_4_8",
        38: "IQ4_NL_8_8",
    }
)

_BY_NAME = {item.name: item for item in GGML_TYPES.values()}


def type_by_name(name: str) -> GgmlType:
    """The storage type with a name such as "Q4_K" (in any case); raises MissingFactError for others."""
    found = _BY_NAME.get(name.upper())
    if found is None:
        near = difflib.get_close_matches(name.upper(), _BY_NAME, n=3, cutoff=0.4)
        hint = f"nearest: {', '.join(near)}" if near else f"known: {', '.join(_BY_NAME)}"
        raise MissingFactError(f"no ggml tensor type is named {name[:40]!r}; {hint}")
    return found


def bits_per_weight(name: str) -> float:
    """Bits that one weight takes in a type such as "Q4_K" (4.5), scales included."""
    return type_by_name(name).bits_per_weight
