"""The fastest split within memory, a person's own flags respected."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.engines.llama_cpp import LlamaCppFlags, TensorOverride
from planner.engines.llama_cpp.given_split import GivenSplit
from planner.estimate.placement import place
from tests.planner.estimate.machines import card, machine
from tests.planner.estimate.models import model

FLAGS = LlamaCppFlags(n_context_tokens=8192)


def test_one_of_two_cards_is_enough_for_a_small_model() -> None:
    # Layers on two cards run one after the other: the second card would add a crossing and nothing else.
    placement = place(model("llama"), machine(card(0), card(1)), FLAGS)
    assert (placement.split.mode, placement.split.main_gpu) == ("none", 0)
    assert placement.kind == "on one of 2 GPUs"
    assert not placement.loads[1].terms


def test_the_faster_card_is_taken_first() -> None:
    box = machine(card(0, gb_per_s=500), card(1, gb_per_s=1000))
    placement = place(model("llama"), box, FLAGS)
    assert placement.split.main_gpu == 1
    # 70B at Q4_K_M is 39.6 GiB: it needs both 24 GiB cards, and the faster one is filled.
    both = place(model("llama-70b"), box, FLAGS)
    assert both.fits
    slow, fast = both.loads[0], both.loads[1]
    assert fast.needed_bytes > slow.needed_bytes
    layer = max(layer.fixed_bytes for layer in model("llama-70b").layers)
    assert (
        fast.free_bytes < layer + 2**29
    )  # no room for one layer more, its cache and what buffers may grow by


def test_cards_alike_keep_the_shares_that_the_engine_takes_itself() -> None:
    placement = place(model("llama-70b"), machine(card(0), card(1)), FLAGS)
    assert placement.fits
    assert placement.split.tensor_split is None


def test_a_large_card_beside_a_small_one_is_not_left_empty() -> None:
    # With shares by memory (24 : 3), the small card would get an eighth of 70B, 5 GiB: more than it holds.
    box = machine(card(0, memory_gib=48, gb_per_s=500), card(1, memory_gib=3))
    placement = place(model("llama-70b"), box, FLAGS)
    assert placement.fits
    assert placement.split.n_gpu_layers == 81
    shares = placement.split.tensor_split
    if shares is not None:  # whole layers, so that the engine's arithmetic cuts just there
        assert sum(shares) == 81
        assert all(share == int(share) for share in shares)


def test_experts_in_ram_leave_light_layers_that_shares_must_know_of() -> None:
    # The first layers keep only attention on the cards, so the first card takes far more layers than the second.
    placement = place(model("qwen3-30b-a3b"), machine(card(0, memory_gib=6), card(1, memory_gib=6)), FLAGS)
    assert placement.fits
    assert placement.split.n_cpu_moe > 0
    shares = placement.split.tensor_split
    assert shares is not None
    assert shares[0] > 1.5 * shares[1]


def test_what_a_person_fixed_is_kept() -> None:
    found = model("qwen3-30b-a3b")
    box = machine(card(0, memory_gib=12))
    fixed = place(found, box, FLAGS, GivenSplit(n_cpu_moe=45))
    assert (fixed.split.n_cpu_moe, fixed.split.n_gpu_layers) == (45, 49)
    # Too many experts on the card: it does not fit, and nothing is moved behind the person's back.
    tight = place(found, box, FLAGS, GivenSplit(n_gpu_layers=49, n_cpu_moe=0))
    assert not tight.fits
    assert (tight.split.n_cpu_moe, tight.split.n_gpu_layers) == (0, 49)
    # What was left open is still searched.
    some = place(found, box, FLAGS, GivenSplit(n_gpu_layers=20))
    assert some.split.n_gpu_layers == 20
    assert some.fits


def test_shares_and_overrides_of_a_person_reach_the_engine_as_given() -> None:
    override = TensorOverride(pattern="exps", device="CPU")
    wish = GivenSplit(tensor_split=(3.0, 1.0), overrides=(override,))
    placement = place(model("qwen3-30b-a3b"), machine(card(0), card(1)), FLAGS, wish)
    assert placement.split.tensor_split == (3.0, 1.0)
    assert placement.split.overrides == (override,)


def test_the_placement_that_decodes_fastest_is_taken() -> None:
    found, box = model("qwen3-30b-a3b"), machine(card(memory_gib=12))
    by_default = place(found, box, FLAGS)
    assert by_default.split.n_cpu_moe
    # A clock that finds experts in RAM slowest of all makes it choose another split.
    other = place(found, box, FLAGS, decode_s=lambda placement: 1.0 + placement.split.n_cpu_moe)
    assert other.fits
    assert not other.split.n_cpu_moe
    # One that does not know leaves the order as it is.
    assert place(found, box, FLAGS, decode_s=lambda _: None) == by_default


@settings(max_examples=25, deadline=None)  # one search takes dozens of plans
@given(
    name=st.sampled_from(["llama", "llama-70b", "qwen3-30b-a3b"]),
    memory_gib=st.lists(st.sampled_from([4, 8, 12, 24]), min_size=1, max_size=3),
    more_gib=st.integers(0, 8),
)
def test_more_memory_never_takes_more_out_of_the_cards(
    name: str, memory_gib: list[int], more_gib: int
) -> None:
    found = model(name)
    small = place(found, machine(*(card(i, memory_gib=n) for i, n in enumerate(memory_gib))), FLAGS)
    large = place(
        found, machine(*(card(i, memory_gib=n + more_gib) for i, n in enumerate(memory_gib))), FLAGS
    )
    assert large.fits or not small.fits
    if small.fits and not small.split.n_cpu_moe and small.split.n_gpu_layers > small.n_layers:
        assert not large.split.n_cpu_moe
        assert large.split.n_gpu_layers > large.n_layers


@pytest.mark.parametrize("n_cards", [1, 2, 3])
def test_a_fit_is_never_missed_that_the_engine_would_find(n_cards: int) -> None:
    """Where shares by free memory fit, some placement whole on the cards is found."""
    found = model("llama-70b")
    box = machine(*(card(i, memory_gib=72 / n_cards) for i in range(n_cards)))
    placement = place(found, box, FLAGS)
    assert placement.fits
    assert placement.split.n_gpu_layers == 81
