"""Optimizer state of single tensors, by hand."""

import pytest

from planner.engines.tuning.optimizers import OPTIMIZERS, Trained, optimizer_bytes

MATRIX = Trained(shape=(4096, 11_008))  # 45,088,768 elements
VECTOR = Trained(shape=(4096,), is_hidden_matrix=False)
SMALL = Trained(shape=(100,), is_hidden_matrix=False)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("adamw", 8 * 45_088_768),
        # two moments of one byte, and an FP32 scale for 256 of each: 45,088,768 / 256 = 176,128 blocks
        ("adamw-8bit", 2 * (45_088_768 + 4 * 176_128)),
        ("adafactor", 4 * (4096 + 11_008)),
        ("sgd", 0),
        ("sgd-momentum", 4 * 45_088_768),
        ("muon", 4 * 45_088_768),
    ],
)
def test_a_matrix(name: str, expected: int) -> None:
    assert optimizer_bytes(name, [MATRIX], 4) == expected


def test_small_tensors_keep_fp32_state() -> None:
    assert optimizer_bytes("adamw-8bit", [SMALL], 4) == 800
    assert optimizer_bytes("adamw-8bit", [VECTOR], 4) == 2 * (
        4096 + 4 * 16
    )  # 4,096 is not smaller than 4,096


def test_what_is_no_hidden_matrix_goes_to_adamw() -> None:
    assert optimizer_bytes("muon", [VECTOR], 4) == 8 * 4096
    assert optimizer_bytes("adafactor", [VECTOR], 4) == 4 * 4096


def test_experts_are_factored_one_by_one() -> None:
    experts = Trained(shape=(2048, 768, 128))
    assert optimizer_bytes("adafactor", [experts], 4) == 4 * 128 * (2048 + 768)


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_tensors_add_up(name: str) -> None:
    each = [optimizer_bytes(name, [tensor], 4) for tensor in (MATRIX, VECTOR, SMALL)]
    assert optimizer_bytes(name, [MATRIX, VECTOR, SMALL], 4) == sum(each)
    assert optimizer_bytes(name, [Trained(shape=MATRIX.shape, n=3)], 4) == 3 * each[0]
