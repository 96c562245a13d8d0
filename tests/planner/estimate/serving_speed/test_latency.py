"""Times under load: physics that no fit may break."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.engines.sharding import Parallel
from planner.errors import MissingFactError
from planner.estimate.serving_speed.deployment import batch
from planner.estimate.serving_speed.latency import latency
from planner.estimate.serving_speed.schedule import Schedule
from tests.planner.estimate.serving_speed.questions import GPU, START, deployment

MODELS = ("llama-3.1-8b-instruct", "qwen3-30b-a3b", "deepseek-r1", "qwen3.5-397b-a17b", "gpt-oss-120b")


@given(
    name=st.sampled_from(MODELS),
    tensor=st.sampled_from((1, 2, 4, 8)),
    n_requests=st.integers(1, 512),
    n_prompt=st.integers(16, 16384),
    n_output=st.integers(16, 2048),
)
@settings(max_examples=60, deadline=None)
def test_never_faster_than_memory_and_arithmetic_allow(
    name: str, tensor: int, n_requests: int, n_prompt: int, n_output: int
) -> None:
    one = deployment(
        name,
        ranks=Parallel(tensor=tensor),
        n_requests=n_requests,
        n_prompt_tokens=n_prompt,
        n_output_tokens=n_output,
    )
    found = latency(batch([one]), START)
    parts = one.load.parts
    picked = float(one.load.read_share(1))  # all requests may pick the same experts
    read = parts["attention"].n_bytes + parts["dense"].n_bytes + picked * parts["experts"].n_bytes
    assert found.decode_step_s[0] >= read / GPU.memory_bytes_per_s
    flop = 2 * n_prompt * (parts["attention"].n_elements + parts["dense"].n_elements)
    assert found.prompt_step_s[0] >= flop / GPU.dense_flop_per_s["fp8"]
    assert found.tpot_s[0] >= found.decode_step_s[0]
    assert found.ttft_s[0] >= found.prompt_step_s[0]


@given(name=st.sampled_from(MODELS), n=st.integers(1, 256), more=st.integers(1, 256))
@settings(max_examples=40, deadline=None)
def test_more_requests_never_make_one_of_them_faster(name: str, n: int, more: int) -> None:
    few, many = deployment(name, n_requests=n), deployment(name, n_requests=n + more)
    found = latency(batch([few, many]), START)
    assert found.tpot_s[1] > found.tpot_s[0]
    assert found.ttft_s[1] > found.ttft_s[0]


@given(name=st.sampled_from(MODELS), n=st.integers(1, 256), factor=st.floats(1.0, 8.0))
@settings(max_examples=40, deadline=None)
def test_faster_memory_matrix_units_and_links_are_never_slower(name: str, n: int, factor: float) -> None:
    base = deployment(name, ranks=Parallel(tensor=4), n_requests=n)
    slow = latency(batch([base]), START)
    for better in (
        replace(GPU, memory_bytes_per_s=GPU.memory_bytes_per_s * factor),
        replace(GPU, dense_flop_per_s={unit: rate * factor for unit, rate in GPU.dense_flop_per_s.items()}),
        replace(GPU, link_bytes_per_s=400e9 * factor),
    ):
        fast = latency(batch([replace(base, accelerator=better)]), START)
        assert fast.tpot_s[0] <= slow.tpot_s[0] * (1 + 1e-12)
        assert fast.ttft_s[0] <= slow.ttft_s[0] * (1 + 1e-12)


def test_it_moves_smoothly_in_requests_and_context() -> None:
    numbers = np.arange(1, 200)
    found = latency(batch([deployment("qwen3-30b-a3b", n_requests=int(n)) for n in numbers]), START)
    steps = np.diff(np.log(found.tpot_s))
    assert steps.max() < 0.6  # from one request to two, twice the experts are read
    assert np.abs(np.diff(steps)).max() < 0.2
    lengths = [deployment(n_prompt_tokens=int(n)) for n in range(1000, 3000, 50)]
    changes = np.diff(np.log(latency(batch(lengths), START).tpot_s))
    assert changes.max() < 0.01


def test_many_deployments_at_once_are_each_one_alone() -> None:
    ones = [deployment(name, n_requests=n) for name in MODELS for n in (1, 32)]
    together = latency(batch(ones), START)
    alone = [latency(batch([one]), START).tpot_s[0] for one in ones]
    assert together.tpot_s == pytest.approx(np.array(alone))


def test_what_nobody_knows_of_a_gpu_is_asked_for() -> None:
    lonely = replace(GPU, link_bytes_per_s=None)
    assert len(batch([deployment(accelerator=lonely)])) == 1  # one rank talks to nobody
    with pytest.raises(MissingFactError, match="how fast Test GPU talks to its peers is unknown"):
        batch([deployment(accelerator=lonely, ranks=Parallel(tensor=2))])
    with pytest.raises(MissingFactError, match="16-bit matrix rate of Test GPU is unknown"):
        batch([deployment(accelerator=replace(GPU, dense_flop_per_s={}))])


def test_the_burst_of_the_beginning_counts_less_the_longer_it_is_measured() -> None:
    busy = deployment(n_requests=64, n_prompt_tokens=4096)
    rounds = [replace(busy, schedule=Schedule(n_rounds=n)) for n in (1, 2, 10, 100)]
    found = latency(batch(rounds), START)
    assert np.all(np.diff(found.ttft_s) < 0)
    # In one round alone, 64 prompts stand in line: the middle one waits for half of them.
    assert found.ttft_s[0] > 32 * found.prompt_step_s[0]
    assert found.tpot_s == pytest.approx(found.tpot_s[0])


def test_equal_lengths_keep_requests_in_step_where_prompts_go_first() -> None:
    like = Schedule(has_like_lengths=True)
    for engine, is_slower in (("sglang", True), ("vllm", False)):
        one = deployment(engine=engine, n_requests=64, n_prompt_tokens=2048)
        found = latency(batch([one, replace(one, schedule=like)]), START)
        assert bool(found.ttft_s[1] > 2 * found.ttft_s[0]) == is_slower
        # Where prompts go first, they wait for each other, and not the decoding. Beside the decoding, those that stay in one
        # step do not stall each other: 4 fit into one, 1 + 3 / 2 = 2.5 stay, so that 61.5 of the 63 others' prompts count.
        stalls = found.tpot_s - found.decode_step_s
        least, most = (0.0, 0.9) if is_slower else (0.95, 1.0)
        assert least < stalls[1] / stalls[0] <= most


def test_drafting_pays_by_what_is_accepted() -> None:
    plain = deployment("llama-3.1-70b-instruct", ranks=Parallel(tensor=8), n_requests=1)
    drafting = replace(plain, schedule=Schedule(draft_tokens=3))
    found = latency(batch([plain, drafting]), START)
    # Half accepted: a step yields 1 + 1/2 + 1/4 + 1/8 tokens and costs more than a plain one.
    assert found.decode_step_s[1] > found.decode_step_s[0]
    assert found.tpot_s[0] / 1.875 < found.tpot_s[1] < found.tpot_s[0]


def test_requests_beyond_the_pool_wait_for_a_place() -> None:
    one = deployment(n_requests=64)
    limits = [replace(one, schedule=Schedule(most_running=n)) for n in (128, 64, 32, 16)]
    found = latency(batch(limits), START)
    assert found.ttft_s[0] == found.ttft_s[1]
    assert np.all(np.diff(found.ttft_s[1:]) > 0)
    # With half of them running, the other half waits as long as a request is served.
    assert found.ttft_s[2] == pytest.approx(
        2 * (latency(batch([replace(one, n_requests=32)]), START).ttft_s[0]) + 256 * found.tpot_s[2]
    )


def test_what_the_host_launches_for_a_short_prompt_runs_beside_the_decoding() -> None:
    # A prompt of 16 tokens is launched by the host for longer than the GPU reads it. Where it has a step of its own, all
    # others stand still for that long; in a step that decodes as well, only for what is longer than the decoding.
    ranks = Parallel(tensor=8)  # 2 GB of weights on each, read in 1 ms, and 32 layers launched in 9.6 ms
    found = [
        latency(batch([deployment(ranks=ranks, engine=engine, n_requests=256, n_prompt_tokens=16)]), START)
        for engine in ("sglang", "vllm")
    ]
    apart, beside = (float(one.tpot_s[0] - one.decode_step_s[0]) for one in found)
    assert apart > 1.5 * beside > 0


def test_a_requests_own_prompt_stalls_only_the_others() -> None:
    for engine in ("vllm", "sglang"):
        for like in (False, True):
            alone = deployment(engine=engine, schedule=Schedule(has_like_lengths=like))
            found = latency(batch([alone, replace(alone, n_requests=2)]), START)
            assert found.tpot_s[0] == pytest.approx(found.decode_step_s[0])
            assert found.tpot_s[1] > found.decode_step_s[1]


def test_padded_experts_are_read_whether_a_token_picked_them_or_not() -> None:
    # 128 experts, 8 of them for one token: a step of one request reads 16 times as much of them, one of hundreds all.
    usual = deployment("qwen3-30b-a3b")
    padded = replace(usual, schedule=Schedule(pads_experts=True))
    few = latency(batch([usual, padded]), START).decode_step_s
    many = latency(batch([replace(one, n_requests=512) for one in (usual, padded)]), START).decode_step_s
    read_s = usual.load.parts["experts"].n_bytes / GPU.memory_bytes_per_s
    assert few[1] - few[0] > 0.9 * read_s
    assert many[1] == pytest.approx(many[0], rel=0.01)


def test_a_schedule_is_a_schedule() -> None:
    with pytest.raises(ValueError, match="a slot asks at least once"):
        Schedule(n_rounds=0)
