"""Several people at once, drafted tokens and energy on placed models: physics as properties, and measured pairs."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.spec import Machine
from planner import api
from planner.api.drafting import with_own_layers
from planner.api.models import described_models, open_model
from planner.engines.llama_cpp import LlamaCppFlags
from planner.errors import MissingFactError
from planner.estimate.beside_memory import Beside
from planner.estimate.described_model import DescribedModel
from planner.estimate.energy import energy, wh_per_mtok
from planner.estimate.fit import fit_row
from planner.estimate.placement import Placement, place
from planner.estimate.speculation import Drafting, speculative_speed
from planner.estimate.speed import SpeedFacts, decode_speed, prefill_speed
from planner.estimate.term import Interval, total
from planner.estimate.together_speed import together_speeds
from planner.speed.drafting import accepted_fraction, expected_tokens
from planner.speed.intervals import KNOWLEDGE, Spread
from planner.speed.power import PowerShare
from tests.planner.estimate.machines import card, machine
from tests.planner.estimate.models import model
from tests.planner.estimate.test_modelled_speed import FACTS as SINGLE

BATCHES = tuple(
    Spread(speed_class=name, knowledge=state, low_ratio=0.6, high_ratio=1.5, n_groups=20, n_rows=60)
    for name in ("dense_batch", "moe_batch")
    for state in KNOWLEDGE
)
SHARES = (
    PowerShare(memory_kind="any", part="waiting", low=0.1, expected=0.2, high=0.3, source=""),
    PowerShare(memory_kind="gddr", part="memory", low=0.3, expected=0.5, high=0.7, source=""),
    PowerShare(memory_kind="any", part="arithmetic", low=1.0, expected=1.5, high=2.0, source=""),
)
FACTS = replace(SINGLE, spreads=(*SINGLE.spreads, *BATCHES), power=SHARES)
FLAGS = LlamaCppFlags(n_context_tokens=8192)
BOX = machine(card(memory_gib=48))
LLAMA = model("llama")
PLACED = place(LLAMA, BOX, FLAGS)
LARGE = model("llama-70b")
LARGE_BOX = machine(card(memory_gib=96))
LARGE_PLACED = place(LARGE, LARGE_BOX, FLAGS)
SMALL = replace(LLAMA, file_name="small.gguf")


def several_tokens(
    found: DescribedModel,
    placed: Placement,
    box: Machine,
    facts: SpeedFacts,
    depth: int,
    n: int = 1,
    n_new: int = 1,
) -> Interval:
    """The decode speed, which is known here."""
    estimate = decode_speed(found, placed, box, facts, depth, n, n_new)
    if estimate.tokens_per_s is None:
        raise MissingFactError(estimate.missing or "")
    assert estimate.tokens_per_s.expected == pytest.approx(n * n_new / total(estimate.terms))
    return estimate.tokens_per_s


def test_tokens_of_a_step_are_the_published_formula() -> None:
    # Leviathan et al. 2023, equation 1, at α = 0.8 and γ = 5: (1 − 0.8^6) / (1 − 0.8) = 3.6893.
    assert expected_tokens(0.8, 5) == pytest.approx(3.68928)
    assert expected_tokens(1.0, 5) == 6
    assert expected_tokens(0.0, 5) == 1
    # Three drafted tokens at 0.83: (0.83 + 0.6889 + 0.571787) / 3.
    assert accepted_fraction(0.83, 3) == pytest.approx(0.696896)


@given(acceptance=st.floats(0, 0.999), n=st.integers(0, 32))
def test_the_sum_is_the_closed_form(acceptance: float, n: int) -> None:
    assert expected_tokens(acceptance, n) == pytest.approx((1 - acceptance ** (n + 1)) / (1 - acceptance))


@settings(deadline=None)
@given(depth=st.integers(0, 8000), n=st.integers(2, 64))
def test_a_step_of_several_is_neither_faster_than_one_token_nor_dearer_than_one_by_one(
    depth: int, n: int
) -> None:
    one = several_tokens(LLAMA, PLACED, BOX, FACTS, depth)
    many = several_tokens(LLAMA, PLACED, BOX, FACTS, depth, n)
    assert one.expected <= many.expected <= n * one.expected
    assert many.low <= many.expected <= many.high
    # Its bounds are no narrower than those of a batch, nor than those of a single token.
    assert many.low / many.expected <= min(0.6, one.low / one.expected) * 1.0001
    drafted = several_tokens(LLAMA, PLACED, BOX, FACTS, depth, 1, n)
    assert drafted.expected >= many.expected  # they share one cache


def test_a_calibration_of_operators_is_needed() -> None:
    with pytest.raises(MissingFactError, match="planner bench"):
        several_tokens(LLAMA, PLACED, BOX, SpeedFacts(), 0, 2)


def test_sequences_share_the_context_out() -> None:
    flags = replace(FLAGS, n_sequences=6)
    placed = place(LLAMA, BOX, flags)
    found = together_speeds(LLAMA, placed, BOX, FACTS)
    assert [one.n_sequences for one in found] == [1, 2, 4, 6]
    assert found[0].tokens_per_s == decode_speed(LLAMA, placed, BOX, FACTS).tokens_per_s
    full = several_tokens(LLAMA, placed, BOX, FACTS, 8192 // 6, 6)
    assert found[-1].tokens_per_s_full == full
    assert found[-1].each_tokens_per_s_full == pytest.approx(full.expected / 6)
    assert together_speeds(LLAMA, PLACED, BOX, FACTS) == ()


def test_a_draft_that_is_always_right_gives_every_token_of_a_step() -> None:
    drafting = Drafting(kind="draft", model=SMALL, acceptance=1.0, n_draft_tokens=3)
    found = speculative_speed(LARGE, LARGE_PLACED, LARGE_BOX, FACTS, drafting)
    assert found.tokens_per_step == 4
    assert found.tokens_per_s is not None
    assert found.verify_s is not None
    assert found.draft_s is not None
    assert found.tokens_per_s.expected == pytest.approx(4 / (found.verify_s + found.draft_s))
    assert found.verify_s == pytest.approx(
        4 / several_tokens(LARGE, LARGE_PLACED, LARGE_BOX, FACTS, 0, 1, 4).expected
    )


@settings(deadline=None, max_examples=20)
@given(acceptance=st.floats(0.01, 0.95), more=st.floats(0, 0.05))
def test_a_better_draft_is_never_slower_and_a_hopeless_one_never_worth_it(
    acceptance: float, more: float
) -> None:
    def speed(rate: float) -> float:
        found = speculative_speed(
            LARGE, LARGE_PLACED, LARGE_BOX, FACTS, Drafting(kind="draft", model=SMALL, acceptance=rate)
        )
        assert found.tokens_per_s is not None
        assert found.speedup is not None
        if rate < 0.02:
            assert found.speedup < 1
        return found.tokens_per_s.expected

    assert speed(acceptance + more) >= speed(acceptance) * 0.999999


def test_an_acceptance_that_nobody_gave_is_a_range_which_the_interval_carries() -> None:
    given_rate = speculative_speed(LARGE, LARGE_PLACED, LARGE_BOX, FACTS, Drafting(kind="draft", model=SMALL, acceptance=0.71, n_draft_tokens=4))  # fmt: skip
    assumed = speculative_speed(
        LARGE, LARGE_PLACED, LARGE_BOX, FACTS, Drafting(kind="draft", model=SMALL, n_draft_tokens=4)
    )
    assert given_rate.tokens_per_s is not None
    assert assumed.tokens_per_s is not None
    assert assumed.tokens_per_s.expected == pytest.approx(given_rate.tokens_per_s.expected)
    assert assumed.tokens_per_s.low < given_rate.tokens_per_s.low
    assert assumed.tokens_per_s.high > given_rate.tokens_per_s.high
    assert "arXiv 2211.17192" in assumed.tokens_per_s.source


def test_a_model_without_prediction_layers_says_so() -> None:
    found = speculative_speed(LARGE, LARGE_PLACED, LARGE_BOX, FACTS, Drafting(kind="mtp"))
    assert found.tokens_per_s is None
    assert "no extra prediction layers" in (found.missing or "")


# Decoding Qwen3.8 27B Q4_K_M without and with its prediction layers, at the logged share of accepted tokens:
# https://github.com/sudoingX/qwen38-mtp, pull requests 42 and 5.
PAIRS = (
    ("RTX 3090", 4, 0.648, 52.8 / 31.9),
    ("RTX 4090", 2, 0.56, 76.3 / 47.7),
)


@pytest.mark.parametrize(("gpu", "n", "fraction", "speedup"), PAIRS)
def test_measured_speedups_of_prediction_layers(gpu: str, n: int, fraction: float, speedup: float) -> None:
    opened = open_model("qwen3.8-27b")
    found = with_own_layers(described_models(opened, ("Q4_K_M",))[0])
    box = api.machine_for(f"{gpu}, 64GiB DDR5-5600")
    facts, _ = api.speed_facts(box)
    # The acceptance whose accepted share of n tokens is what was logged.
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if accepted_fraction(middle, n) < fraction else (low, middle)
    placed = place(found, box, FLAGS)
    answer = speculative_speed(
        found, placed, box, facts, Drafting(kind="mtp", acceptance=low, n_draft_tokens=n), 1000
    )
    assert answer.speedup == pytest.approx(speedup, rel=0.25)


def test_energy_is_waiting_and_moving_within_the_limit() -> None:
    gpu = replace(card(memory_gib=48), power_limit_w=300.0)
    box = machine(gpu)
    placed = place(LLAMA, box, FLAGS)
    decode, prefill = decode_speed(LLAMA, placed, box, FACTS), prefill_speed(LLAMA, placed, box, FACTS, 512)
    found = energy(LLAMA, placed, box, SHARES, decode, prefill, 512)
    assert found.decode_j is not None
    assert found.prompt_j is not None
    assert decode.tokens_per_s is not None
    step_s = 1 / decode.tokens_per_s.expected
    # The bytes that a token reads at 1000 GB/s take so long; half the limit while they move, a fifth all the time.
    reading_s = LLAMA.storage.read_bytes_per_token / 1e12
    assert found.decode_j.expected == pytest.approx(300 * (0.2 * step_s + 0.5 * reading_s), rel=0.02)
    assert found.decode_j.high <= 300 / decode.tokens_per_s.low
    assert found.decode_j.low < found.decode_j.expected < found.decode_j.high
    assert found.prompt_j.expected < found.decode_j.expected
    assert wh_per_mtok(1.0) == pytest.approx(277.78, rel=1e-4)  # 1e6 J / 3600


def test_a_missing_power_fact_is_said() -> None:
    decode, prefill = decode_speed(LLAMA, PLACED, BOX, FACTS), prefill_speed(LLAMA, PLACED, BOX, FACTS, 512)
    assert (
        energy(LLAMA, PLACED, BOX, SHARES, decode, prefill, 512).missing
        == "the power limit of Test Card is unknown"
    )
    shared = machine(replace(card(memory_gib=48, unified=True), power_limit_w=60.0))
    placed = place(LLAMA, shared, FLAGS)
    assert "shared memory" in (energy(LLAMA, placed, shared, SHARES, decode, prefill, 512).missing or "")
    bare = machine()
    placed = place(LLAMA, bare, FLAGS)
    assert "processor" in (energy(LLAMA, placed, bare, SHARES, decode, prefill, 512).missing or "")


def test_a_gpu_that_waits_for_another_draws_too() -> None:
    gpus = tuple(replace(card(i, memory_gib=24), power_limit_w=300.0) for i in range(2))
    large = model("llama-70b")
    box = machine(*gpus)
    placed = place(large, box, LlamaCppFlags(n_context_tokens=2048))
    decode, prefill = decode_speed(large, placed, box, FACTS), prefill_speed(large, placed, box, FACTS, 512)
    found = energy(large, placed, box, SHARES, decode, prefill, 512)
    assert found.decode_j is not None
    assert decode.tokens_per_s is not None
    reading_s = large.storage.read_bytes_per_token / 1e12
    step_s = 1 / decode.tokens_per_s.expected
    assert found.decode_j.expected == pytest.approx(300 * (2 * 0.2 * step_s + 0.5 * reading_s), rel=0.03)


def test_a_row_has_them_and_its_command_says_how_tokens_are_drafted() -> None:
    flags = replace(FLAGS, n_sequences=2)
    drafting = Drafting(kind="draft", model=SMALL, n_draft_tokens=5)
    row = fit_row(LARGE, LARGE_BOX, flags, FACTS, beside=Beside(draft=drafting.model), drafting=drafting)
    assert [one.n_sequences for one in row.together] == [1, 2]
    assert row.speculative is not None
    assert row.speculative.n_draft_tokens == 5
    assert row.energy.missing
    line = " ".join(row.command)
    assert "-md small.gguf" in line
    assert "--spec-draft-n-max 5" in line
    long_list = fit_row(LARGE, LARGE_BOX, flags, FACTS, with_largest_context=False)
    assert long_list.together == ()
    assert math.isclose(
        long_list.decode.tokens_per_s.expected if long_list.decode.tokens_per_s else 0.0,
        row.decode.tokens_per_s.expected if row.decode.tokens_per_s else 1.0,
    )
