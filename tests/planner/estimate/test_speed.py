"""Decode and prompt speed: worked times, physics as properties, benchmarks of this machine first."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.spec import Basis
from planner.engines.llama_cpp import LlamaCppFlags
from planner.estimate.calibration import Efficiency
from planner.estimate.described_model import DescribedModel
from planner.estimate.local import LocalRates, TransferMethod, TransferSpread
from planner.estimate.measurement import BenchRun, Measurement, Phase
from planner.estimate.placement import place
from planner.estimate.speed import SpeedFacts, decode_speed, prefill_flop, prefill_speed
from planner.estimate.term import total
from tests.planner.estimate.machines import card, machine
from tests.planner.estimate.models import model

FLAGS = LlamaCppFlags(n_context_tokens=8192)


def efficiency(phase: Phase, fraction: float = 0.5, overhead_s: float = 0.0) -> Efficiency:
    return Efficiency(
        phase=phase, model_class="dense", backend="*", family="*", fraction=fraction, overhead_s=overhead_s,
        low_ratio=0.8, high_ratio=1.25, n_measurements=10, n_devices=3, fitted_on="test", date="2026-01-01",
    )  # fmt: skip


FACTS = SpeedFacts(efficiencies=(efficiency("decode"), efficiency("prefill")))


def test_decode_is_bytes_over_bandwidth() -> None:
    found = model("llama")
    box = machine(card(gb_per_s=1000))
    estimate = decode_speed(found, place(found, box, FLAGS), box, FACTS)
    assert estimate.tokens_per_s is not None
    # Everything is on the card: each token reads all weights once; half of 1000 GB/s is sustained.
    # A tied head reads the table as a matrix, so all stored bytes are read.
    expected = 500e9 / found.storage.total_bytes
    assert estimate.tokens_per_s.expected == pytest.approx(expected, rel=1e-6)
    # The interval is the efficiency's own.
    assert estimate.tokens_per_s.low == pytest.approx(0.8 * expected)
    assert estimate.tokens_per_s.high == pytest.approx(1.25 * expected)


def test_a_full_context_adds_its_cache_to_every_token() -> None:
    found = model("llama")
    box = machine(card())
    placement = place(found, box, FLAGS)
    empty = decode_speed(found, placement, box, FACTS).tokens_per_s
    full = decode_speed(found, placement, box, FACTS, 8192).tokens_per_s
    assert empty is not None
    assert full is not None
    # 8192 tokens of 32,768 bytes are 256 MiB more to read, at 500 GB/s.
    extra_s = 256 * 2**20 / 500e9
    assert 1 / full.expected - 1 / empty.expected == pytest.approx(extra_s, rel=1e-6)


def test_prompt_flop_of_a_worked_case() -> None:
    found = model("llama")
    n = 512
    # 2 FLOP per matrix element and token, the head once: the 1B's layers hold 973,078,528 matrix elements.
    layers = 16 * (2048 * 2048 * 2 + 2 * 2048 * 512 + 3 * 2048 * 8192)
    head = 2048 * 128_256
    # Causal attention: 4 · heads · head size per pair; token t sees t, so n·(n + 1)/2 pairs, in 16 layers.
    attention = 16 * 4 * 32 * 64 * n * (n + 1) / 2
    expected = 2 * (layers * n + head) + attention
    assert prefill_flop(found, n) == pytest.approx(expected)


def test_missing_bandwidth_is_named_not_guessed() -> None:
    found = model("llama")
    box = machine(ram_gb_per_s=None)
    estimate = decode_speed(found, place(found, box, FLAGS), box, FACTS)
    assert estimate.tokens_per_s is None
    assert estimate.missing is not None
    assert "DDR5" in estimate.missing


def test_split_prompt_speed_is_unknown_and_says_so() -> None:
    found = model("llama-70b")
    box = machine(card())
    estimate = prefill_speed(found, place(found, box, FLAGS), box, FACTS, 512)
    assert estimate.tokens_per_s is None
    assert estimate.missing is not None
    assert "RAM" in estimate.missing


@given(
    gb_per_s=st.floats(50, 8000),
    more=st.floats(1, 4),
    depth=st.integers(0, 8192),
    deeper=st.integers(0, 8192),
)
def test_physics(gb_per_s: float, more: float, depth: int, deeper: int) -> None:
    """Never faster than the bandwidth allows; more bandwidth never slower; a deeper cache never faster."""
    found = model("llama")

    def speed(rate: float, at: int) -> float:
        box = machine(card(gb_per_s=rate))
        estimate = decode_speed(found, place(found, box, FLAGS), box, FACTS, at).tokens_per_s
        assert estimate is not None
        return estimate.expected

    assert speed(gb_per_s, depth) <= gb_per_s * 1e9 / found.storage.total_bytes
    assert speed(gb_per_s * more, depth) >= speed(gb_per_s, depth)
    assert speed(gb_per_s, depth + deeper) <= speed(gb_per_s, depth)


def bench_run(found: DescribedModel, *, fingerprint: str, tg_s: float, pp_s: float) -> BenchRun:
    return BenchRun(
        model_name=found.name, model_path="x.gguf", model_fingerprint=fingerprint, model_bytes=1, n_parameters=1,
        quantization="Q4_K_M", engine="llama.cpp", engine_build="b1", backend="CPU", machine_fingerprint="m",
        machine_name="m", n_threads=2, n_gpu_layers=0, n_batch=2048, n_ubatch=512, n_context_tokens=640,
        kv_type="f16", flash_attention=True, measured_at="2026-01-01T00:00:00+00:00",
        measurements=(
            Measurement(phase="prefill", n_prompt_tokens=512, n_generated_tokens=0, n_depth_tokens=0,
                        samples_s=(pp_s,) * 5),
            Measurement(phase="decode", n_prompt_tokens=0, n_generated_tokens=128, n_depth_tokens=0,
                        samples_s=(tg_s,) * 5),
        ),
        memory=None, read_bytes_per_token=found.storage.read_bytes_per_token,
        matmul_parameters_per_token=found.matmul_parameters_per_token,
    )  # fmt: skip


PHASES: tuple[Phase, ...] = ("prefill", "decode")
METHODS: tuple[TransferMethod, ...] = ("line", "rate")
SPREADS = tuple(
    TransferSpread(phase=phase, method=method, low_ratio=0.7, high_ratio=1.3, n_measurements=9, source="test")
    for phase in PHASES
    for method in METHODS
)


def test_a_benchmark_of_the_same_file_is_the_estimate() -> None:
    base = model("llama")
    found = DescribedModel(name=base.name, network=base.network, storage=base.storage, fingerprint="f")
    run = bench_run(found, fingerprint="f", tg_s=12.8, pp_s=5.12)
    box = machine()
    facts = SpeedFacts(efficiencies=(), local=LocalRates(runs=(run,), spreads=SPREADS))
    placement = place(found, box, FLAGS)
    # 128 tokens in 12.8 s at a mean depth of 64: ten a second there, and a little more from an empty cache.
    at_64 = decode_speed(found, placement, box, facts, 64).tokens_per_s
    assert at_64 is not None
    assert at_64.expected == pytest.approx(10.0)
    assert at_64.basis is Basis.MEASURED
    empty = decode_speed(found, placement, box, facts).tokens_per_s
    assert empty is not None
    assert 10.0 <= empty.expected < 10.1
    prompt = prefill_speed(found, placement, box, facts, 512).tokens_per_s
    assert prompt is not None
    assert prompt.expected == pytest.approx(100.0)


def test_another_model_is_corrected_by_what_the_first_strayed() -> None:
    """The benchmark ran at half the estimate's speed, so the other model's estimate is halved."""
    small, large = model("llama"), model("qwen3")
    cpu = SpeedFacts(
        efficiencies=(
            replace(efficiency("decode", overhead_s=0.004), backend="cpu"),
            replace(efficiency("prefill"), backend="cpu"),
        )
    )
    box = machine()
    alone = decode_speed(small, place(small, box, FLAGS), box, cpu).tokens_per_s
    assert alone is not None
    run = bench_run(small, fingerprint="f", tg_s=2 * 128 / alone.expected, pp_s=5.12)
    facts = SpeedFacts(efficiencies=cpu.efficiencies, local=LocalRates(runs=(run,), spreads=SPREADS))
    before = decode_speed(large, place(large, box, FLAGS), box, cpu).tokens_per_s
    after = decode_speed(large, place(large, box, FLAGS), box, facts)
    assert before is not None
    assert after.tokens_per_s is not None
    assert after.tokens_per_s.expected == pytest.approx(before.expected / 2, rel=1e-6)
    # The terms, correction included, still add up to the time of one token.
    assert total(after.terms) == pytest.approx(1 / after.tokens_per_s.expected)


def test_without_an_estimate_another_model_gets_the_rate_per_byte() -> None:
    small, large = model("llama"), model("qwen3")
    run = bench_run(small, fingerprint="f", tg_s=12.8, pp_s=5.12)
    facts = SpeedFacts(efficiencies=(), local=LocalRates(runs=(run,), spreads=SPREADS))
    box = machine(ram_gb_per_s=None)
    estimate = decode_speed(large, place(large, box, FLAGS), box, facts).tokens_per_s
    assert estimate is not None
    expected = 10.0 * small.storage.read_bytes_per_token / large.storage.read_bytes_per_token
    assert estimate.expected == pytest.approx(expected, rel=1e-6)
    assert estimate.low == pytest.approx(0.7 * expected, rel=1e-6)


def test_a_run_on_the_cpu_says_nothing_of_the_gpu() -> None:
    found = model("llama")
    run = bench_run(found, fingerprint="f", tg_s=12.8, pp_s=5.12)
    facts = SpeedFacts(efficiencies=FACTS.efficiencies, local=LocalRates(runs=(run,), spreads=SPREADS))
    box = machine(card())
    estimate = decode_speed(found, place(found, box, FLAGS), box, facts).tokens_per_s
    assert estimate is not None
    assert estimate.basis is not Basis.MEASURED
    assert estimate.expected > 100
