"""The tensor types of ggml: how many bytes a block of weights takes in a GGUF file.

Numbers and names follow `enum ggml_type` (ggml.h) and the block structs (ggml-common.h) of llama.cpp as
vendored in llama-cpp-python 0.3.36; those of its fork ik_llama.cpp, whose files keep the same header, follow the
type traits of ggml.c at 8337e4cd (2026-08-15). Some of these begin every row with a scale of its own. Types that
were removed from the format are listed by name, so that an old file can be refused with a reason.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from planner.errors import MissingFactError


@dataclass(frozen=True, slots=True, kw_only=True)
class GgmlType:
    """One storage type: `block_elements` weights of a row are stored together in `block_bytes` bytes.

    `row_header_bytes` come once a row, before its blocks.
    """

    id: int
    name: str
    block_elements: int
    block_bytes: int
    row_header_bytes: int = 0

    def row_bytes(self, n_elements: int) -> int:
        """Bytes of one row (ggml_row_size); the row must divide into blocks."""
        return self.row_header_bytes + n_elements // self.block_elements * self.block_bytes

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

# id, name, weights per block, bytes per block, bytes in front of a row: ik_llama.cpp only.
_FORK_ROWS = (
    (133, "Q6_0", 32, 26, 0),
    (134, "IQ1_BN", 64, 13, 2),
    (135, "IQ2_BN", 64, 16, 4),
    (137, "IQ2_K", 256, 76, 0),
    (138, "IQ3_K", 256, 110, 0),
    (139, "IQ4_K", 256, 144, 0),
    (140, "IQ5_K", 256, 176, 0),
    (141, "IQ6_K", 256, 212, 0),
    (144, "IQ4_KS", 256, 136, 4),
    (145, "IQ2_KS", 256, 70, 2),
    (146, "IQ4_KSS", 256, 128, 4),
    (151, "Q8_KV", 32, 32, 8),
    (152, "IQ5_KS", 256, 168, 4),
    (153, "IQ2_KT", 256, 68, 4),
    (154, "IQ3_KT", 256, 100, 4),
    (155, "IQ4_KT", 256, 128, 4),
    (156, "IQ3_KS", 256, 102, 2),
    (157, "IQ2_KL", 256, 86, 2),
    (158, "IQ1_KT", 256, 56, 4),
    (202, "Q4_0_R8", 32, 18, 0),
    (206, "Q5_0_R4", 32, 22, 0),
    (208, "Q8_0_R8", 32, 34, 0),
    (210, "Q2_K_R4", 256, 84, 0),
    (211, "Q3_K_R4", 256, 110, 0),
    (212, "Q4_K_R4", 256, 144, 0),
    (213, "Q5_K_R4", 256, 176, 0),
    (214, "Q6_K_R4", 256, 210, 0),
    (216, "IQ2_XXS_R4", 256, 66, 0),
    (217, "IQ2_XS_R4", 256, 74, 0),
    (218, "IQ3_XXS_R4", 256, 98, 0),
    (219, "IQ1_S_R4", 32, 6, 2),
    (220, "IQ4_NL_R4", 32, 18, 0),
    (221, "IQ3_S_R4", 256, 110, 0),
    (222, "IQ2_S_R4", 256, 82, 0),
    (223, "IQ4_XS_R8", 256, 136, 0),
    (229, "IQ1_M_R4", 32, 7, 2),
    (230, "BF16_R16", 1, 2, 0),
    (233, "Q6_0_R4", 32, 26, 0),
    (335, "IQ2_BN_R4", 64, 16, 4),
    (337, "IQ2_K_R4", 256, 76, 0),
    (338, "IQ3_K_R4", 256, 110, 0),
    (339, "IQ4_K_R4", 256, 144, 0),
    (340, "IQ5_K_R4", 256, 176, 0),
    (344, "IQ4_KS_R4", 256, 136, 4),
    (352, "IQ5_KS_R4", 256, 168, 4),
    (353, "MXFP4_R8", 32, 17, 0),
    (397, "Q8_K_R16", 256, 258, 0),
    (398, "Q8_KV_R8", 32, 32, 4),
    (399, "Q8_K_R8", 256, 258, 0),
)

GGML_TYPES: Mapping[int, GgmlType] = MappingProxyType(
    {
        type_id: GgmlType(id=type_id, name=name, block_elements=elements, block_bytes=n_bytes)
        for type_id, name, elements, n_bytes in _ROWS
    }
)

# What ik_llama.cpp adds; llama.cpp refuses files with these.
FORK_GGML_TYPES: Mapping[int, GgmlType] = MappingProxyType(
    {
        type_id: GgmlType(
            id=type_id, name=name, block_elements=elements, block_bytes=n_bytes, row_header_bytes=header
        )
        for type_id, name, elements, n_bytes, header in _FORK_ROWS
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

_BY_NAME = {item.name: item for item in (*GGML_TYPES.values(), *FORK_GGML_TYPES.values())}


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
