"""The table of ggml's tensor types against the layout of the blocks in ggml-common.h."""

import pytest

from planner.errors import MissingFactError
from planner.model.ggml_types import (
    FORK_GGML_TYPES,
    GGML_TYPES,
    REMOVED_GGML_TYPES,
    bits_per_weight,
    type_by_name,
)

HALF, FLOAT = 2, 4  # bytes of ggml_half and float
QK_K = 256  # weights in a super-block

# Block bytes as the static_asserts of ggml-common.h write them, field by field.
LAYOUTS = {
    "Q1_0": (128, HALF + 128 // 8),
    "Q2_0": (64, HALF + 64 // 4),
    "Q4_0": (32, HALF + 32 // 2),
    "Q4_1": (32, 2 * HALF + 32 // 2),
    "MXFP4": (32, 1 + 32 // 2),
    "NVFP4": (64, 64 // 16 + 64 // 2),
    "Q5_0": (32, HALF + 4 + 32 // 2),
    "Q5_1": (32, 2 * HALF + 4 + 32 // 2),
    "Q8_0": (32, HALF + 32),
    "Q8_1": (32, 2 * HALF + 32),
    "TQ1_0": (QK_K, HALF + QK_K // 64 + (QK_K - 4 * QK_K // 64) // 5),
    "TQ2_0": (QK_K, HALF + QK_K // 4),
    "Q2_K": (QK_K, 2 * HALF + QK_K // 16 + QK_K // 4),
    "Q3_K": (QK_K, HALF + QK_K // 4 + QK_K // 8 + 12),
    "Q4_K": (QK_K, 2 * HALF + 12 + QK_K // 2),
    "Q5_K": (QK_K, 2 * HALF + 12 + QK_K // 2 + QK_K // 8),
    "Q6_K": (QK_K, HALF + QK_K // 16 + 3 * QK_K // 4),
    "Q8_K": (QK_K, FLOAT + QK_K + QK_K // 16 * 2),
    "IQ2_XXS": (QK_K, HALF + QK_K // 8 * 2),
    "IQ2_XS": (QK_K, HALF + QK_K // 8 * 2 + QK_K // 32),
    "IQ2_S": (QK_K, HALF + QK_K // 4 + QK_K // 16),
    "IQ3_XXS": (QK_K, HALF + 3 * (QK_K // 8)),
    "IQ3_S": (QK_K, HALF + 13 * (QK_K // 32) + QK_K // 64),
    "IQ1_S": (QK_K, HALF + QK_K // 8 + QK_K // 16),
    "IQ1_M": (QK_K, QK_K // 8 + QK_K // 16 + QK_K // 32),
    "IQ4_NL": (32, HALF + 32 // 2),
    "IQ4_XS": (QK_K, HALF + 2 + QK_K // 64 + QK_K // 2),
}
PLAIN = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "I8": 8, "I16": 16, "I32": 32, "I64": 64}


@pytest.mark.parametrize("name", LAYOUTS)
def test_blocks_have_the_bytes_of_their_c_structs(name: str) -> None:
    item = type_by_name(name)
    assert (item.block_elements, item.block_bytes) == LAYOUTS[name]


@pytest.mark.parametrize("name", PLAIN)
def test_plain_types_take_their_width(name: str) -> None:
    assert bits_per_weight(name) == PLAIN[name]


def test_every_type_is_covered_and_every_number_is_current_or_removed() -> None:
    assert {item.name for item in GGML_TYPES.values()} == LAYOUTS.keys() | PLAIN.keys()
    # GGML_TYPE_COUNT is 43, and the enumeration has no other gaps than the removed types.
    assert sorted([*GGML_TYPES, *REMOVED_GGML_TYPES]) == list(range(43))


@pytest.mark.parametrize(
    ("name", "bits"),
    # Published bits per weight of the k-quants and i-quants (llama.cpp, docs of the quantize tool).
    [("Q2_K", 2.625), ("Q3_K", 3.4375), ("Q4_K", 4.5), ("Q5_K", 5.5), ("Q6_K", 6.5625), ("Q8_0", 8.5),
     ("IQ1_S", 1.5625), ("IQ2_XXS", 2.0625), ("IQ3_XXS", 3.0625), ("IQ4_XS", 4.25), ("MXFP4", 4.25)],
)  # fmt: skip
def test_bits_per_weight(name: str, bits: float) -> None:
    assert bits_per_weight(name.lower()) == bits


def test_an_unknown_name_is_answered_with_near_ones() -> None:
    with pytest.raises(MissingFactError, match=r"no ggml tensor type is named 'Q4_M'; nearest: .*Q4_"):
        type_by_name("Q4_M")


@pytest.mark.parametrize(
    ("name", "n_elements", "expected"),
    [
        ("IQ4_KS", 7168, 4 + 7168 // 256 * 136),  # iqk: one f32 scale a row, blocks of 4.25 bits a weight
        ("IQ4_K_R4", 7168, 7168 // 256 * 144),  # interleaved rows are as long as the plain ones
        ("IQ1_S_R4", 4096, 2 + 4096 // 32 * 6),  # an f16 scale a row
        ("Q8_0", 64, 68),
    ],
)
def test_rows_of_the_fork_may_begin_with_a_scale(name: str, n_elements: int, expected: int) -> None:
    # Block structs in ggml-common.h and row_meta_size in ggml.c of ik_llama.cpp 8337e4cd.
    assert type_by_name(name).row_bytes(n_elements) == expected


def test_the_fork_adds_names_and_numbers_that_llama_cpp_does_not_use() -> None:
    assert not FORK_GGML_TYPES.keys() & (GGML_TYPES.keys() | REMOVED_GGML_TYPES.keys())
    names = {item.name for item in GGML_TYPES.values()} | set(REMOVED_GGML_TYPES.values())
    assert not {item.name for item in FORK_GGML_TYPES.values()} & names
