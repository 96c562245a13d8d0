"""Made-up weights: every type gives the right number of bytes, small finite numbers, and even routing."""

import numpy as np
import pytest

from planner.bench.weight_fill import WeightFill
from planner.errors import BenchError
from planner.model.ggml_types import GGML_TYPES, type_by_name

_WHOLE_NUMBERS = {"I8", "I16", "I64", "F64", "Q8_1", "Q8_K"}  # no file stores weights in these


def filled(name: str, type_name: str, n_blocks: int = 300) -> bytes:
    kind = type_by_name(type_name)
    return b"".join(WeightFill().tensor(name, kind.id, n_blocks * kind.block_bytes))


@pytest.mark.parametrize(
    "type_name", [k.name for k in GGML_TYPES.values() if k.name not in {*_WHOLE_NUMBERS, "I32"}]
)
def test_every_type_is_filled_to_the_byte(type_name: str) -> None:
    data = filled("blk.0.ffn_down.weight", type_name)
    assert len(data) == 300 * type_by_name(type_name).block_bytes
    assert len(set(data)) > 4  # not a constant


@pytest.mark.parametrize("type_name", sorted(_WHOLE_NUMBERS))
def test_types_that_hold_no_weights_are_refused(type_name: str) -> None:
    with pytest.raises(BenchError, match=type_name):
        filled("blk.0.ffn_down.weight", type_name)


def test_q8_0_decodes_to_small_numbers() -> None:
    # A block is a half-precision scale and 32 signed bytes (block_q8_0).
    blocks = np.frombuffer(filled("blk.0.attn_q.weight", "Q8_0"), dtype=np.uint8).reshape(-1, 34)
    scales = blocks[:, :2].copy().view(np.float16).astype(np.float64)
    values = scales * blocks[:, 2:].copy().view(np.int8)
    assert np.isfinite(values).all()
    assert 2**-6 < values.std() < 2**-4
    assert len(set(scales.flat)) > 100  # of 300 blocks: real files have a different one in each


def test_q4_1_has_a_mean_of_zero() -> None:
    # w = d·q + m with q of 0 to 15: m is about −7.5·d, as in real files, where it differs from block to block.
    blocks = np.frombuffer(filled("blk.0.attn_q.weight", "Q4_1", 4000), dtype=np.uint8).reshape(-1, 20)
    halves = blocks[:, :4].copy().view(np.float16).astype(np.float64)
    nibbles = np.concatenate([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], axis=1)
    values = halves[:, :1] * nibbles + halves[:, 1:]
    assert abs(values.mean()) < 0.03 * values.std()
    assert (halves[:, 1] < 0).all()


def test_what_adds_to_the_hidden_state_is_smaller() -> None:
    def size(name: str) -> float:
        return float(np.frombuffer(filled(name, "F32", 5000), dtype=np.float32).std())

    assert (
        size("blk.0.ffn_down_exps.weight") * 4
        < size("blk.0.ffn_up_exps.weight")
        < size("token_embd.weight") / 4
    )


def test_iq1_m_hides_its_scale_in_four_words() -> None:
    # iq1m_scale of ggml-common.h: the upper four bits of each word, lowest first, are one half-precision number.
    words = np.frombuffer(filled("blk.0.attn_q.weight", "IQ1_M"), dtype=np.uint8).reshape(-1, 56)[:, 48:]
    words = words.copy().view(np.uint16)
    bits = words[:, 0] >> 12 | words[:, 1] >> 8 & 0xF0 | words[:, 2] >> 4 & 0xF00 | words[:, 3] & 0xF000
    scales = bits.astype(np.uint16).view(np.float16).astype(np.float64)
    assert np.median(scales) == pytest.approx(2**-8, rel=0.15)
    assert len(set(scales)) > 100


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("blk.0.attn_norm.weight", 1.0),
        ("rope_freqs.weight", 1.0),  # divided by
        ("blk.0.attn_q.bias", 0.0),
        ("blk.0.exp_probs_b.bias", 0.0),  # would favour experts
        ("blk.0.attn_sinks.weight", 0.0),
        ("blk.0.ssm_a", -1.0),  # a decay
    ],
)
def test_vectors_hold_what_keeps_the_formulas_finite(name: str, value: float) -> None:
    assert set(np.frombuffer(filled(name, "F32"), dtype=np.float32)) == {np.float32(value)}


def test_expert_tables_name_experts() -> None:
    numbers = b"".join(WeightFill().tensor("blk.0.ffn_gate_tid2eid.weight", 26, 4000, n_experts=8))
    assert set(np.frombuffer(numbers, dtype=np.int32)) == set(range(8))


def test_a_fork_type_is_refused() -> None:
    with pytest.raises(BenchError, match="137"):
        list(WeightFill().tensor("blk.0.attn_q.weight", 137, 76))


def test_the_same_seed_writes_the_same_file() -> None:
    assert filled("blk.0.attn_q.weight", "Q4_K") == filled("blk.0.attn_q.weight", "Q4_K")
