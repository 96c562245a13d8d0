"""Each format's bytes for one matrix, worked by hand from its library's own layout."""

import pytest

from planner.errors import MalformedError
from planner.model.formats.awq import Awq
from planner.model.formats.bitsandbytes import Bnb4, BnbInt8
from planner.model.formats.exl import Exl2, Exl3
from planner.model.formats.fp4 import mxfp4, nvfp4
from planner.model.formats.fp8 import Fp8
from planner.model.formats.gptq import Gptq
from planner.model.formats.hqq import Hqq
from planner.model.formats.int_groups import IntGroups
from planner.model.formats.marlin24 import Marlin24
from planner.model.formats.mlx import Mlx
from planner.model.formats.modelopt_int4 import ModelOptInt4
from planner.model.formats.piece import DTYPE_BYTES, Format, pieces_bytes
from planner.model.formats.plain import Plain
from planner.model.formats.torchao import TorchAo

IN, OUT = 4096, 14_336  # Llama-3.1-8B's gate projection
N = IN * OUT

ALL: list[Format] = [
    Plain(), Gptq(bits=4, group_size=128), Gptq(bits=3, group_size=None), Awq(group_size=128),
    Awq(group_size=64, version="gemv"), Awq(group_size=128, version="gemv_fast"), Awq(group_size=128, version="marlin"),
    Fp8(), Fp8(per_channel=True), Fp8(block=(128, 128)), Fp8(block=(1, 32), scale_dtype="U8"),
    IntGroups(bits=4, packed=True, scales="group", group_size=32, symmetric=False, reordered=True),
    IntGroups(bits=8, packed=False, scales="channel"), mxfp4(), nvfp4(), BnbInt8(), Bnb4(), Bnb4(double=True),
    Hqq(bits=4, group_size=64), Hqq(bits=3, group_size=64), Mlx(bits=4, group_size=64), Mlx(bits=3, group_size=32),
    Mlx(bits=4, group_size=32, mode="mxfp4"), TorchAo(kind="int4"), TorchAo(kind="int8"), TorchAo(kind="float8_row"),
    TorchAo(kind="int8_int4", group_size=32), Exl2(average_bits=4.5), Exl3(average_bits=3.0),
    Marlin24(bits=4, group_size=128), ModelOptInt4(group_size=128),
]  # fmt: skip


def elements(form: Format, n_in: int = IN, n_out: int = OUT) -> dict[str, tuple[str, int]]:
    return {piece.name: (piece.dtype, piece.n_elements) for piece in form.pieces(n_in, n_out)}


@pytest.mark.parametrize("form", ALL, ids=lambda form: form.label)
def test_every_weight_is_held_once(form: Format) -> None:
    pieces = form.pieces(IN, OUT)
    assert sum(piece.n_values for piece in pieces) == N
    assert all(piece.dtype in DTYPE_BYTES and piece.n_elements > 0 for piece in pieces)


@pytest.mark.parametrize("form", ALL, ids=lambda form: form.label)
def test_two_matrices_side_by_side_take_at_least_what_one_twice_as_wide_takes(form: Format) -> None:
    # Scales and words are per column, so nothing is gained by cutting a matrix in two.
    whole = pieces_bytes(form.pieces(IN, OUT))
    assert 2 * pieces_bytes(form.pieces(IN, OUT // 2)) >= whole


def test_gptq_packs_along_the_input() -> None:
    assert elements(Gptq(bits=4, group_size=128)) == {
        "qweight": ("I32", IN // 8 * OUT),  # eight 4-bit values a word
        "scales": ("F16", 32 * OUT),  # 4096 / 128 groups
        "qzeros": ("I32", 32 * OUT // 8),
        "g_idx": ("I32", IN),
    }
    # Three bits: 32 values in three words.
    assert elements(Gptq(bits=3, group_size=128))["qweight"] == ("I32", IN // 32 * 3 * OUT)
    # A last, partial group has its own scale: 4,096 inputs in groups of 1,536 are three.
    assert elements(Gptq(bits=4, group_size=1536))["scales"] == ("F16", 3 * OUT)


def test_awq_pads_the_groups_of_its_gemv_layout() -> None:
    assert elements(Awq(group_size=128)) == {
        "qweight": ("I32", IN * OUT // 8),
        "scales": ("F16", 32 * OUT),
        "qzeros": ("I32", 32 * OUT // 8),
    }
    # 11,008 inputs: 86 groups of 128, whose zero points fill ⌈86 / 8⌉ = 11 words a row; scales 8 per word.
    assert elements(Awq(group_size=128, version="gemv"), 11_008, 4096) == {
        "qweight": ("I32", 11_008 * 4096 // 8),
        "scales": ("F16", 4096 * 88),
        "qzeros": ("I32", 4096 * 11),
    }
    # Groups of 64: 64 of them are 8 words, rounded to a multiple of 2 and that twice: `calculate_zeros_width`.
    assert elements(Awq(group_size=64, version="gemv"))["qzeros"] == ("I32", OUT * 8)


def test_fp8_counts_partial_blocks_whole() -> None:
    # DeepSeek's kv_a_proj_with_mqa: 7168 inputs, 576 outputs = 4.5 blocks of 128.
    assert elements(Fp8(block=(128, 128)), 7168, 576) == {
        "weight": ("F8_E4M3", 7168 * 576),
        "weight_scale": ("F32", 5 * 56),
    }
    assert elements(Fp8(per_channel=True))["weight_scale"] == ("F32", OUT)
    assert elements(Fp8(input_scale=True))["input_scale"] == ("F32", 1)


def test_compressed_tensors_packs_rows_into_whole_words() -> None:
    form = IntGroups(bits=4, packed=True, scales="group", group_size=128, symmetric=False, reordered=True)
    assert elements(form) == {
        "weight_packed": ("I32", IN // 8 * OUT),
        "weight_scale": ("BF16", 32 * OUT),
        "weight_shape": ("I64", 2),
        "weight_zero_point": ("I32", OUT // 8 * 32),
        "weight_g_idx": ("I32", IN),
    }
    # Five bits of 100 inputs are 500 bits: 16 words a row.
    five = IntGroups(bits=5, packed=True, scales="channel")
    assert elements(five, 100, 10)["weight_packed"] == ("I32", 160)


def test_four_bit_floats() -> None:
    assert elements(mxfp4()) == {"weight_packed": ("U8", N // 2), "weight_scale": ("U8", N // 32)}
    assert elements(nvfp4()) == {
        "weight_packed": ("U8", N // 2),
        "weight_scale": ("F8_E4M3", N // 16),
        "weight_scale_2": ("F32", 2),  # of the weights and of the activations
    }
    # 4.25 and 4.5 bits per weight.
    assert pieces_bytes(mxfp4().pieces(IN, OUT)) * 8 == N * 4.25
    assert pieces_bytes(nvfp4(input_scale=False).pieces(IN, OUT)) * 8 == N * 4.5 + 32
    with pytest.raises(MalformedError, match="multiple of 16"):
        nvfp4().pieces(100, 10)


def test_bitsandbytes_scales() -> None:
    assert elements(BnbInt8()) == {"weight": ("I8", N), "SCB": ("F32", OUT)}
    single = elements(Bnb4())
    assert single["weight"] == ("U8", N // 2)
    assert single["absmax"] == ("F32", N // 64)
    double = elements(Bnb4(double=True))
    assert double["absmax"] == ("U8", N // 64)
    assert double["nested_absmax"] == ("F32", N // 64 // 256)


def test_hqq_packs_three_bits_ten_to_a_word() -> None:
    # hqq/core/bitpack.py: groups as rows, padded to a multiple of ten.
    groups = N // 64
    assert elements(Hqq(bits=3, group_size=64))["W_q"] == ("I32", -(-groups // 10) * 64)
    assert elements(Hqq(bits=6, group_size=64))["W_q"] == ("U8", N)  # six bits are kept in a byte
    assert elements(Hqq(bits=4, group_size=64))["scale"] == ("BF16", groups)


def test_mlx_leaves_rows_that_do_not_divide_as_they_are() -> None:
    assert elements(Mlx(bits=4, group_size=64)) == {
        "weight": ("U32", N // 8),
        "scales": ("BF16", N // 64),
        "biases": ("BF16", N // 64),
    }
    assert elements(Mlx(bits=4, group_size=64), 100, 10) == {"weight": ("BF16", 1000)}
    assert elements(Mlx(bits=8, group_size=32, mode="mxfp8"))["scales"] == ("U8", N // 32)


def test_averages_are_called_averages() -> None:
    assert pieces_bytes(Exl2(average_bits=4.5).pieces(IN, OUT)) == N * 4.5 / 8
    assert elements(Exl3(average_bits=3.0))["trellis"] == ("I16", N * 3 // 16)
    assert "average" in Exl2(average_bits=4.5).label


def test_sparse_marlin_keeps_half_of_the_weights() -> None:
    # Two of four weights in four bits (n/4 bytes) and two bits each that say which (n/8 bytes).
    found = elements(Marlin24(bits=4, group_size=128))
    assert found["weight_packed"] == ("I32", N // 16)
    assert found["meta"] == ("I16", N // 16)


@pytest.mark.parametrize(
    "form", [Gptq(bits=4, group_size=128), Awq(group_size=128), Hqq(bits=4, group_size=64), TorchAo(kind="int4")],
    ids=lambda form: form.label,
)  # fmt: skip
def test_shapes_that_a_format_cannot_hold_are_refused_with_the_shape(form: Format) -> None:
    with pytest.raises(MalformedError, match="excluded in quantization_config"):
        form.pieces(101, 7)
