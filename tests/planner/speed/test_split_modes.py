"""Row and tensor split: what each GPU does at the same time, and what crosses."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.speed.factors import Case, Factors
from planner.speed.operator_time import OperatorTime
from planner.speed.operators import Layout, decode_operators, layout_on_one
from planner.speed.setting import CURRENT
from planner.speed.split_modes import peer_rate, split_decode, split_prefill
from tests.planner.speed.cases import GPU, dense, mixture


def layout(n_gpus: int, mode: str, *, linked: bool = False) -> Layout:
    shares = (1 / n_gpus,) * n_gpus
    return Layout(
        gpus=(GPU,) * n_gpus, host=None, layers=(0,) * 4, experts=(0,) * 4, head=0, shares=shares,
        mode="row" if mode == "row" else "tensor", peer_bytes_per_s=20e9, has_peer_link=linked,
    )  # fmt: skip


def ideal(times: tuple[OperatorTime, ...], operator: str) -> float:
    return float(sum(time.ideal_s for time in times if time.operator == operator))


def test_a_tensor_split_divides_weights_and_caches_and_adds_up_twice_a_layer() -> None:
    whole = decode_operators(dense(), layout_on_one(GPU, 4), 5000)
    times, one = split_decode(dense(), layout(4, "tensor"), 5000)
    assert len(one.gpus) == 1
    assert ideal(times, "read") == pytest.approx(ideal(whole, "read") / 4)
    assert ideal(times, "cache") == pytest.approx(ideal(whole, "cache") / 4)
    assert ideal(times, "launch") == ideal(whole, "launch")
    assert ideal(times, "reduce") == pytest.approx(4 * 2 * 1e-6)
    # A ring of 4 sends 2 · 3/4 of 512 f32 elements, 8 times, at 20 GB/s.
    assert ideal(times, "between_gpus") == pytest.approx(8 * 1.5 * 512 * 4 / 20e9)
    linked, _ = split_decode(dense(), layout(4, "tensor", linked=True), 5000)
    assert ideal(linked, "reduce") == 0
    assert ideal(linked, "reduce_linked") == ideal(times, "reduce")
    assert ideal(linked, "between_gpus") == 0  # nothing goes by way of main memory
    assert ideal(linked, "between_linked") == ideal(times, "between_gpus")


def test_a_row_split_divides_dense_matrices_alone() -> None:
    whole = decode_operators(mixture(), layout_on_one(GPU, 4), 5000)
    times, _ = split_decode(mixture(), layout(2, "row"), 5000)
    assert ideal(times, "read") == pytest.approx(ideal(whole, "read") / 2)
    assert ideal(times, "read_experts") == pytest.approx(ideal(whole, "read_experts"))
    assert ideal(times, "cache") == pytest.approx(ideal(whole, "cache"))
    # Four layers' dense matrix and the head: each waits as long as 3.5 copies, and copies to the other GPU.
    assert ideal(times, "exchange") == pytest.approx(5 * 4.5e-6)


def test_the_gpu_with_most_to_read_for_its_bandwidth_decides() -> None:
    slow = replace(GPU, key="slow", memory_bytes_per_s=0.25e12)
    uneven = replace(layout(2, "tensor"), gpus=(GPU, slow), shares=(0.7, 0.3))
    _, one = split_decode(dense(), uneven, 0)
    assert one.gpus == (slow,)  # 0.3 / 0.25 > 0.7 / 1
    times, _ = split_decode(dense(), uneven, 0)
    assert ideal(times, "read") == pytest.approx(0.3 * 4.2e9 / 0.25e12)


def test_a_prompt_waits_once_for_each_micro_batch() -> None:
    times, _ = split_prefill(dense(), layout(2, "tensor"), 2048, n_ubatch=512)
    assert ideal(times, "reduce") == pytest.approx(4 * 8e-6)
    assert ideal(times, "between_gpus") == pytest.approx(2048 * 8 * 512 * 4 / 20e9)


def test_links_between_gpus() -> None:
    assert peer_rate((GPU, GPU), None) == 20e9
    assert peer_rate((GPU, GPU), 300e9) == 300e9
    assert peer_rate((GPU, replace(GPU, link_bytes_per_s=None)), None) is None


@given(n_gpus=st.integers(1, 8), depth=st.integers(0, 100_000))
def test_more_gpus_never_read_longer_and_never_less_than_their_share(n_gpus: int, depth: int) -> None:
    def reading(n: int) -> float:
        times, one = split_decode(dense(), layout(n, "tensor"), depth)
        case = Case(
            phase="decode", operators=times, layout=one, setting=CURRENT, model_key="", architecture=""
        )
        seconds = Factors(effects=()).seconds(case)
        return float(
            sum(took for time, took in zip(times, seconds, strict=True) if time.operator in ("read", "cache"))
        )

    assert reading(n_gpus + 1) < reading(n_gpus)
    assert reading(n_gpus) == pytest.approx(reading(1) / n_gpus)
