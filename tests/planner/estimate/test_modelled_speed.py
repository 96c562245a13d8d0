"""Placed models timed operator by operator: the interval, the terms, and which facts may be missing."""

import pytest

from planner.engines.llama_cpp import LlamaCppFlags
from planner.estimate.placement import place
from planner.estimate.speed import SpeedFacts, decode_speed, prefill_speed
from planner.estimate.term import total
from planner.speed.factors import Factors
from planner.speed.intervals import KNOWLEDGE, Spread
from tests.planner.estimate.machines import card, machine
from tests.planner.estimate.models import model

FLAGS = LlamaCppFlags(n_context_tokens=4096)
CLASSES = ("dense_decode", "dense_prefill", "moe_decode", "moe_prefill", "offload_decode", "offload_prefill")
FACTS = SpeedFacts(
    factors=Factors(effects=(), date="2026-01-01"),
    spreads=tuple(
        Spread(speed_class=name, knowledge=state, low_ratio=0.8, high_ratio=1.25, n_groups=20, n_rows=60)
        for name in CLASSES
        for state in KNOWLEDGE
    ),
)


def test_the_terms_add_up_to_the_speed_and_never_beat_the_bandwidth() -> None:
    found = model("llama")
    box = machine(card(gb_per_s=1000))
    estimate = decode_speed(found, place(found, box, FLAGS), box, FACTS)
    assert estimate.tokens_per_s is not None
    assert estimate.tokens_per_s.expected == pytest.approx(1 / total(estimate.terms))
    assert estimate.tokens_per_s.low == pytest.approx(0.8 * estimate.tokens_per_s.expected)
    # Every stored byte but nothing else can be read once per token at 1000 GB/s.
    assert estimate.tokens_per_s.expected < 1e12 / found.storage.read_bytes_per_token


def test_a_full_context_is_slower_and_more_bandwidth_faster() -> None:
    found = model("llama")

    def rate(gb_per_s: float, depth: int) -> float:
        box = machine(card(gb_per_s=gb_per_s))
        estimate = decode_speed(found, place(found, box, FLAGS), box, FACTS, depth)
        assert estimate.tokens_per_s is not None
        return estimate.tokens_per_s.expected

    assert rate(1000, 4000) < rate(1000, 0) < rate(2000, 0)


def test_a_prompt_with_layers_in_ram_has_a_speed() -> None:
    found = model("llama-70b")
    box = machine(card(memory_gib=24))
    placement = place(found, box, FLAGS)
    assert 0 < placement.split.n_gpu_layers <= placement.n_layers
    estimate = prefill_speed(found, placement, box, FACTS, 512)
    assert estimate.missing is None
    assert estimate.tokens_per_s is not None
    whole = machine(card(memory_gib=96))
    all_there = prefill_speed(found, place(found, whole, FLAGS), whole, FACTS, 512)
    assert all_there.tokens_per_s is not None
    assert estimate.tokens_per_s.expected < all_there.tokens_per_s.expected


def test_an_unknown_ram_is_said_only_where_it_matters() -> None:
    found = model("llama-70b")
    box = machine(card(memory_gib=24), ram_gb_per_s=None)
    estimate = decode_speed(found, place(found, box, FLAGS), box, FACTS)
    assert estimate.tokens_per_s is None
    assert "RAM's bandwidth is unknown" in (estimate.missing or "")
    small = model("llama")
    assert decode_speed(small, place(small, box, FLAGS), box, FACTS).tokens_per_s is not None


def test_what_limits_a_speed_is_said_with_its_rate() -> None:
    big, box = model("llama-70b"), machine(card(memory_gib=24))
    split = decode_speed(big, place(big, box, FLAGS), box, FACTS)
    # Most of 70B lies in RAM, which is an order of magnitude slower than the card.
    assert split.limited_by is not None
    assert split.limited_by.startswith("RAM bandwidth (")
    assert split.limited_by.endswith(" GB/s)")
    card_alone = machine(card(memory_gib=96, gb_per_s=1000))
    placed = place(big, card_alone, FLAGS)
    assert decode_speed(big, placed, card_alone, FACTS).limited_by == (
        "memory bandwidth of GPU 0 (1,000.0 GB/s)"
    )
    prompt = prefill_speed(big, placed, card_alone, FACTS, 4096).limited_by
    assert prompt is not None
    assert prompt.startswith("matrix arithmetic on GPU 0 (")
