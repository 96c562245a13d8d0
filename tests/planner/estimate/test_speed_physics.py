"""Physics as properties, through the functions that the commands call: on GPUs, processors, offload and several GPUs.

Kernels change at a few sizes, and there alone the estimate may jump: a step of 9 tokens leaves the kernels for
vectors (`planner.speed.batched`), and on a processor the eighth token is the first in tiles (`processor_steps`).
"""

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.described import describe_machine
from hardware.spec import Machine
from planner.api.machines import speed_facts
from planner.engines.llama_cpp import LlamaCppFlags
from planner.engines.llama_cpp.given_split import FREE, GivenSplit
from planner.estimate.described_model import DescribedModel
from planner.estimate.placement import Placement, place
from planner.estimate.speed import SpeedFacts, decode_read_bytes, decode_speed, prefill_flop, prefill_speed
from planner.speed.batched import VECTOR_TOKENS
from planner.speed.operators import OFFLOAD_TOKENS
from tests.planner.estimate.models import model

CONTEXT = 65_536
# One of each kind: graphics and stacked memory, unified memory, a processor, experts and layers in RAM, two GPUs.
BOXES = {
    "graphics memory": ("llama", "RTX 4090, 64GiB DDR5-5600"),
    "AMD": ("llama", "RX 7900 XTX, 64GiB DDR5-5600"),
    "stacked memory": ("llama-70b", "H100 SXM, 256GiB DDR5-4800 8ch"),
    "unified memory": ("llama", "M4 Max 128GiB"),
    "a processor": ("llama", "64GiB DDR5-5600"),
    "experts in RAM": ("qwen3-30b-a3b", "RTX 3060 12GB, 64GiB DDR5-5600"),
    "layers in RAM": ("llama-70b", "RTX 3090, 128GiB DDR5-5600"),
    "two GPUs": ("llama-70b", "2x RTX 3090, 64GiB DDR5-5600"),
    "a mixture": ("qwen3-30b-a3b", "RTX 5090, 64GiB DDR5-5600"),
    "two GPUs at once": ("llama-70b", "2x RTX 3090, 64GiB DDR5-5600"),
    "rows on two GPUs": ("llama-70b", "2x RTX 3090, 64GiB DDR5-5600"),
}
GIVEN = {"two GPUs at once": GivenSplit(mode="tensor"), "rows on two GPUs": GivenSplit(mode="row")}
KINDS = sorted(BOXES)


@cache
def placed(kind: str) -> tuple[DescribedModel, Placement, Machine, SpeedFacts]:
    name, text = BOXES[kind]
    machine = describe_machine(text)
    found = model(name)
    facts, _ = speed_facts(machine)
    flags = LlamaCppFlags(n_context_tokens=CONTEXT if kind not in GIVEN else 8192)
    return found, place(found, machine, flags, GIVEN.get(kind, FREE)), machine, facts


def decode(kind: str, depth: int, n_sequences: int = 1, n_new: int = 1) -> float:
    """Seconds of a step."""
    found, placement, machine, facts = placed(kind)
    rate = decode_speed(found, placement, machine, facts, depth, n_sequences, n_new).tokens_per_s
    assert rate is not None
    return n_sequences * n_new / rate.expected


def faster(machine: Machine, factor: float) -> Machine:
    """The same machine with all memory so many times as fast."""
    gpus = tuple(
        replace(
            gpu,
            accelerator=replace(
                gpu.accelerator, memory_bytes_per_s=factor * gpu.accelerator.memory_bytes_per_s
            ),
        )
        for gpu in machine.gpus
        if gpu.accelerator is not None
    )
    ram = machine.cpu_memory_bytes_per_s
    return replace(machine, gpus=gpus, cpu_memory_bytes_per_s=None if ram is None else factor * ram)


@settings(deadline=None)
@given(kind=st.sampled_from(KINDS), depth=st.integers(0, CONTEXT), n=st.integers(1, 64))
def test_no_step_is_faster_than_memory_can_be_read(kind: str, depth: int, n: int) -> None:
    found, placement, machine, _ = placed(kind)
    rates = [
        load.device.gpu.accelerator.memory_bytes_per_s
        for load in placement.loads
        if load.device.gpu is not None and load.device.gpu.accelerator is not None
    ]
    rates.append(machine.cpu_memory_bytes_per_s or float("inf"))
    if kind in GIVEN:  # the GPUs read at once
        rates = [sum(rates[:-1])] * len(rates)
    at_depth = decode_read_bytes(found, placement, depth)
    empty = decode_read_bytes(found, placement, 0)
    # Weights once, and a cache for each sequence.
    least_s = sum(
        (full + (n - 1) * (full - weights)) / rate
        for weights, full, rate in zip(empty, at_depth, rates, strict=True)
    )
    assert decode(kind, depth, n) >= least_s


@settings(deadline=None)
@given(kind=st.sampled_from([kind for kind in KINDS if kind != "a processor"]), n=st.integers(16, 8192))
def test_no_prompt_is_faster_than_the_best_number_type(kind: str, n: int) -> None:
    found, placement, machine, facts = placed(kind)
    speed = prefill_speed(found, placement, machine, facts, n).tokens_per_s
    assert speed is not None
    peaks = [
        max(gpu.accelerator.dense_flop_per_s.values()) * 1.0
        for gpu in machine.gpus
        if gpu.accelerator is not None
    ]
    # Matrices at the fastest type there is on all GPUs at once; INT8 is twice the FP16 that some profiles state alone.
    assert n / speed.expected >= prefill_flop(found, n) / (2 * sum(peaks))


@settings(deadline=None, max_examples=60)
@given(
    kind=st.sampled_from(KINDS),
    depth=st.integers(0, CONTEXT),
    factor=st.floats(1.0, 4.0),
    n=st.integers(1, 32),
)
def test_more_bandwidth_is_never_slower(kind: str, depth: int, factor: float, n: int) -> None:
    found, placement, machine, facts = placed(kind)
    rate = decode_speed(found, placement, machine, facts, depth, n).tokens_per_s
    # The placement holds its devices: the faster machine is placed anew, in the same way.
    quick = faster(machine, factor)
    again = place(found, quick, placement.flags, GIVEN.get(kind, FREE))
    if again.split != placement.split:
        return
    better = decode_speed(found, again, quick, facts, depth, n).tokens_per_s
    assert rate is not None
    assert better is not None
    assert better.expected >= rate.expected * 0.999999


@settings(deadline=None)
@given(kind=st.sampled_from(KINDS), depth=st.integers(0, CONTEXT - 1), n=st.integers(1, 16))
def test_more_context_is_never_faster_and_moves_smoothly(kind: str, depth: int, n: int) -> None:
    here, next_to_it = decode(kind, depth, n), decode(kind, depth + 1, n)
    assert here <= next_to_it <= here * 1.01


@settings(deadline=None)
@given(kind=st.sampled_from(KINDS), depth=st.integers(0, CONTEXT), n=st.integers(1, 256))
def test_one_more_sequence_takes_longer_and_gives_more_apart_from_the_change_of_kernels(
    kind: str, depth: int, n: int
) -> None:
    here, more = decode(kind, depth, n), decode(kind, depth, n + 1)
    # On processors 8 tokens are the first that are multiplied in tiles, which take 1.4 times as long as seven
    # row by row with AVX2 and weights in Q6_K (measured).
    if kind == "a processor" and n == VECTOR_TOKENS - 1:
        assert here <= more < 1.5 * here
        return
    if kind != "a processor" and n == VECTOR_TOKENS:
        assert 0.2 < more / here < 2
        return
    assert here <= more * 1.000001
    assert more / (n + 1) <= here / n * 1.000001


@settings(deadline=None)
@given(kind=st.sampled_from(KINDS), n=st.integers(9, 2048))
def test_a_longer_prompt_takes_longer_and_moves_smoothly(kind: str, n: int) -> None:
    found, placement, machine, facts = placed(kind)

    def seconds(tokens: int) -> float | None:
        rate = prefill_speed(found, placement, machine, facts, tokens).tokens_per_s
        return None if rate is None else tokens / rate.expected

    here, more = seconds(n), seconds(n + 1)
    if here is None or more is None:
        return
    if n + 1 == OFFLOAD_TOKENS and kind.endswith("in RAM"):
        # From here on the engine copies weights to the GPU: another kernel, in either direction.
        assert 0.2 < more / here < 5
        return
    assert here <= more * 1.000001
    assert more <= here * 1.13  # one token of nine


@pytest.mark.parametrize("kind", KINDS)
def test_not_even_the_upper_bound_reads_faster_than_memory_does(kind: str) -> None:
    found, placement, machine, facts = placed(kind)
    speed = decode_speed(found, placement, machine, facts).tokens_per_s
    assert speed is not None
    rates = [
        load.device.gpu.accelerator.memory_bytes_per_s
        for load in placement.loads
        if load.device.gpu is not None and load.device.gpu.accelerator is not None
    ]
    rates.append(machine.cpu_memory_bytes_per_s or float("inf"))
    if kind in GIVEN:
        rates = [sum(rates[:-1])] * len(rates)
    reading_s = sum(
        n_bytes / rate for n_bytes, rate in zip(decode_read_bytes(found, placement, 0), rates, strict=True)
    )
    assert (
        speed.low <= speed.expected <= speed.high <= 1 / reading_s * 1.0001
    )  # the row of the embedding table apart
