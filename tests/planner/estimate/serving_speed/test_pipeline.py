"""Layers in stages on GPUs of their own, and ranks on several machines: the physics of their times."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.engines.sharding import Parallel
from planner.errors import MissingFactError
from planner.estimate.serving_speed.collectives import layer_collectives_s
from planner.estimate.serving_speed.deployment import Batch, batch
from planner.estimate.serving_speed.fabric import Fabric
from planner.estimate.serving_speed.latency import latency
from planner.estimate.serving_speed.pipeline import decode_period_s, hops_s
from planner.estimate.serving_speed.step_time import decode_step_s
from tests.planner.estimate.serving_speed.questions import GPU, START, deployment

NAME = "llama-3.1-70b-instruct"
TWO_MACHINES = Fabric(gpus_per_machine=8, bytes_per_s=50e9)


def one(n_requests: float = 64.0, fabric: Fabric | None = None, **ranks: int) -> Batch:
    return batch([deployment(NAME, ranks=Parallel(**ranks), n_requests=n_requests, fabric=fabric)])


def test_one_stage_is_the_step_itself() -> None:
    q = one(tensor=4)
    assert decode_period_s(q, START, q.n_requests) == decode_step_s(q, START, q.n_requests)
    assert hops_s(q, START, q.n_requests) == 0


def test_a_single_request_runs_through_all_stages_one_after_the_other() -> None:
    # Two GPUs behind each other read what one would: the same step, and one hop.
    q, alone = one(1.0, pipeline=2), one(1.0)
    ones = np.ones(1)
    assert decode_period_s(q, START, ones) == pytest.approx(
        decode_step_s(alone, START, ones) + hops_s(q, START, ones)
    )


def test_full_stages_answer_nearly_as_many_requests_as_there_are_stages() -> None:
    # 80 layers in four stages of 20; the head on the last makes it the fullest.
    found = latency(one(256.0, pipeline=4), START)
    single = latency(one(64.0), START)
    ratio = (256 / found.tpot_s[0]) / (64 / single.tpot_s[0])
    assert 3.3 < ratio < 4.0


def test_the_fullest_stage_has_the_head() -> None:
    load = deployment(NAME, ranks=Parallel(pipeline=4)).load
    head, layers = load.parts["head"].n_bytes, sum(load.parts[p].n_bytes for p in ("attention", "dense"))
    assert load.layer_share == 0.25
    assert load.stage_share == pytest.approx((layers / 4 + head) / (layers + head))


def test_a_hop_hands_on_hidden_vectors_and_the_residual() -> None:
    # 1,000 tokens of 8,192 values of 2 bytes, twice: 32.8 MB over a link of which the starting share is reached.
    q = one(pipeline=2)
    share = START.value("link_fraction", q)[0]
    expected = 1000 * 8192 * 2 * 2 / (share * 400e9) + START.value("collective_s", q)[0]
    assert hops_s(q, START, np.array([1000.0]))[0] == pytest.approx(expected)


def test_a_prompt_in_chunks_fills_the_stages_while_the_next_chunk_comes() -> None:
    short, long = (
        latency(batch([deployment(NAME, ranks=Parallel(pipeline=4), n_prompt_tokens=n)]), START)
        for n in (8192, 8 * 8192)
    )
    # One chunk goes through four stages one by one, eight of them through eleven: 4 and 11/8 shares of a prompt.
    assert short.ttft_s[0] / short.prompt_step_s[0] > 3.5
    assert long.ttft_s[0] / long.prompt_step_s[0] < 1.8


def test_stages_and_tensor_ranks_lie_on_machines_in_order() -> None:
    both = one(tensor=8, pipeline=2, fabric=TWO_MACHINES)
    assert (both.machines[0], both.near_hops[0], both.far_hops[0]) == (1, 0, 1)
    four = one(tensor=4, pipeline=4, fabric=TWO_MACHINES)
    assert (four.machines[0], four.near_hops[0], four.far_hops[0]) == (1, 2, 1)
    wide = one(tensor=16, fabric=TWO_MACHINES)
    assert (wide.machines[0], wide.near_hops[0], wide.far_hops[0]) == (2, 0, 0)
    with pytest.raises(MissingFactError, match="12 ranks do not fill machines of 8 GPUs"):
        one(tensor=4, pipeline=3, fabric=TWO_MACHINES)


def test_sums_over_two_machines_cross_the_network() -> None:
    # One token of 8,192 values: S = 16 KiB, two sums. Within a machine 2 · S · 7/8 over the link; between two machines
    # each of eight ranks has an eighth of S, there and back half of it: 2 · S / 8 · 1/2 over the network.
    q = one(tensor=16, fabric=TWO_MACHINES)
    share = START.value("link_fraction", q)[0]
    size = 8192 * 2
    expected = 2 * (2 * size * 7 / 8 / (share * 400e9) + 2 * size / 8 / 2 / (share * 50e9))
    expected += 2 * (START.value("collective_s", q)[0] * 3 + 2 * 5e-6)
    assert layer_collectives_s(q, START, np.ones(1), np.ones(1))[0] == pytest.approx(expected)


def test_a_token_goes_once_to_each_machine_with_one_of_its_experts() -> None:
    ranks = Parallel(tensor=16, expert=16, attention_replicas=16)
    q = batch([deployment("qwen3-235b-a22b", ranks=ranks, fabric=TWO_MACHINES)])
    share, size = START.value("link_fraction", q)[0], 4096 * 2
    # Eight experts, each on one of two machines: the other machine has one of them in 1 - 2^-8 of all cases.
    sent = 2 * size * 8 * 7 / 8 / (share * 400e9) + 2 * size * (1 - 0.5**8) / (share * 50e9)
    latencies = 2 * (START.value("collective_s", q)[0] * 3 + 2 * 5e-6)
    found = layer_collectives_s(q, START, np.full(1, 16.0), np.ones(1))[0]
    assert found == pytest.approx(sent + latencies)


@given(rate=st.floats(1e9, 1e12), more=st.floats(1.0, 10.0))
def test_a_faster_network_is_never_slower(rate: float, more: float) -> None:
    slow, fast = (
        latency(one(tensor=8, pipeline=2, fabric=Fabric(gpus_per_machine=8, bytes_per_s=r)), START)
        for r in (rate, rate * more)
    )
    assert fast.tpot_s[0] <= slow.tpot_s[0]
    assert fast.ttft_s[0] <= slow.ttft_s[0]


def test_gpus_without_links_of_their_own_talk_over_pci_express() -> None:
    without = replace(GPU, link_bytes_per_s=None, pcie_bytes_per_s=64e9)
    q = batch([deployment(NAME, ranks=Parallel(tensor=4), accelerator=without)])
    assert q.link_bytes_per_s[0] == 64e9
    with pytest.raises(MissingFactError, match="talks to its peers is unknown"):
        batch(
            [deployment(NAME, ranks=Parallel(tensor=4), accelerator=replace(without, pcie_bytes_per_s=None))]
        )
