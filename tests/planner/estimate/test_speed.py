"""Decode and prompt speed: physics as properties, and benchmarks of this machine."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.spec import Basis, Cpu
from planner.engines.llama_cpp import LlamaCppFlags
from planner.estimate.described_model import DescribedModel
from planner.estimate.local import LocalRates
from planner.estimate.measurement import BenchRun, Measurement, Synthetic
from planner.estimate.own_bench import taught_by_runs, with_operators
from planner.estimate.placement import place
from planner.estimate.speed import SpeedFacts, decode_speed, prefill_flop, prefill_speed
from planner.estimate.term import total
from planner.speed.factors import Factors
from planner.speed.intervals import KNOWLEDGE, Knowledge, Spread
from tests.planner.estimate.machines import card, machine
from tests.planner.estimate.models import model

FLAGS = LlamaCppFlags(n_context_tokens=8192)
# Bounds of half to twice the speed, narrower after a benchmark here, and narrowest of all for the rate alone.
_BOUNDS: dict[Knowledge, float] = {"bench": 1.3, "bench_new": 1.3, "bench_rate": 1.25}
FACTS = SpeedFacts(
    factors=Factors(effects=(), date="2026-01-01"),
    spreads=tuple(
        Spread(
            speed_class=name,
            knowledge=state,
            low_ratio=1 / _BOUNDS.get(state, 2.0),
            high_ratio=_BOUNDS.get(state, 2.0),
            n_groups=20,
            n_rows=60,
        )
        for name in ("dense_decode", "dense_prefill")
        for state in KNOWLEDGE
    ),
)


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


def benched(found: DescribedModel, slowness: float, fingerprint: str) -> tuple[BenchRun, Factors]:
    """A benchmark that took `slowness` times what FACTS expect, and what it teaches them."""
    box = machine()
    placement = place(found, box, FLAGS)
    decode = decode_speed(found, placement, box, FACTS, 64).tokens_per_s
    prefill = prefill_speed(found, placement, box, FACTS, 512).tokens_per_s
    assert decode is not None
    assert prefill is not None
    run = bench_run(
        found,
        fingerprint=fingerprint,
        tg_s=slowness * 128 / decode.expected,
        pp_s=slowness * 512 / prefill.expected,
    )
    kept = with_operators(run, found, box)
    return kept, taught_by_runs(FACTS.factors, (kept,), box)


def test_a_benchmark_of_the_same_file_is_the_estimate() -> None:
    found = replace(model("llama"), fingerprint="f")
    run = bench_run(found, fingerprint="f", tg_s=12.8, pp_s=5.12)
    box = machine()
    facts = replace(FACTS, local=LocalRates(runs=(run,)))
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


def test_a_benchmark_moves_other_models_and_narrows_their_intervals() -> None:
    run, factors = benched(model("llama"), 1.5, "f")
    box, large = machine(), model("qwen3")
    placement = place(large, box, FLAGS)
    facts = replace(FACTS, factors=factors, local=LocalRates(runs=(run,)))
    for speed, n in ((decode_speed, 0), (prefill_speed, 512)):
        before = speed(large, placement, box, FACTS, n).tokens_per_s
        after = speed(large, placement, box, facts, n)
        assert before is not None
        assert after.tokens_per_s is not None
        # Half to twice before; nearer to what ran 1.5 times as slow, and no further than that, after.
        assert 1.15 < before.expected / after.tokens_per_s.expected < 1.55
        assert after.tokens_per_s.high / after.tokens_per_s.low == pytest.approx(1.3**2)
        assert n or total(after.terms) == pytest.approx(1 / after.tokens_per_s.expected)


def test_a_benchmark_as_expected_only_narrows() -> None:
    _, factors = benched(model("llama"), 1.0, "f")
    box, large = machine(), model("qwen3")
    placement = place(large, box, FLAGS)
    before = decode_speed(large, placement, box, FACTS).tokens_per_s
    after = decode_speed(large, placement, box, replace(FACTS, factors=factors)).tokens_per_s
    assert before is not None
    assert after is not None
    assert after.expected == pytest.approx(before.expected, rel=1e-3)
    assert after.high / after.low < before.high / before.low


def test_a_run_without_operators_teaches_nothing() -> None:
    run = bench_run(model("llama"), fingerprint="f", tg_s=12.8, pp_s=5.12)
    assert taught_by_runs(FACTS.factors, (run,), machine()) is FACTS.factors


def test_a_run_with_other_threads_does_not_speak_for_the_usual_ones() -> None:
    found = model("llama")
    cpu = Cpu(model="x", n_sockets=1, n_physical_cores=8, n_usable_threads=16)
    run = bench_run(found, fingerprint="f", tg_s=12.8, pp_s=5.12)  # with 2 threads
    assert with_operators(run, found, replace(machine(), cpu=cpu)) == run
    usual = with_operators(replace(run, n_threads=8), found, replace(machine(), cpu=cpu))
    assert all(item.operators for item in usual.measurements)


def test_operators_that_nobody_knows_are_left_alone() -> None:
    run, _ = benched(model("llama"), 1.5, "f")

    def renamed(item: Measurement) -> Measurement:
        return replace(item, operators=tuple(replace(time, operator="warp") for time in item.operators))

    strange = replace(run, measurements=tuple(renamed(item) for item in run.measurements))
    assert taught_by_runs(FACTS.factors, (strange,), machine()) is FACTS.factors


def test_without_an_estimate_another_model_gets_the_rate_per_byte() -> None:
    small, large = model("llama"), model("qwen3")
    run = bench_run(small, fingerprint="f", tg_s=12.8, pp_s=5.12)
    facts = replace(FACTS, local=LocalRates(runs=(run,)))
    box = machine(ram_gb_per_s=None)
    estimate = decode_speed(large, place(large, box, FLAGS), box, facts).tokens_per_s
    assert estimate is not None
    expected = 10.0 * small.storage.read_bytes_per_token / large.storage.read_bytes_per_token
    assert estimate.expected == pytest.approx(expected, rel=1e-6)
    assert estimate.low == pytest.approx(expected / 1.25, rel=1e-6)


def synthetic(run: BenchRun) -> BenchRun:
    """The same figures, extrapolated: 10 % either way."""
    return replace(
        run,
        model_fingerprint="",
        synthetic=Synthetic(n_layers=32, files=(), disk_bytes=1, writing_s=0.1),
        measurements=tuple(
            replace(
                item,
                samples_s=item.samples_s[:1],
                low_s=item.samples_s[0] / 1.1,
                high_s=item.samples_s[0] * 1.1,
            )
            for item in run.measurements
        ),
    )


def test_a_synthetic_run_counts_for_its_own_model_and_says_so() -> None:
    found = model("llama")  # by its config: it was never downloaded, so there is no file to tell it by
    run = synthetic(bench_run(found, fingerprint="", tg_s=12.8, pp_s=5.12))
    run = replace(run, model_name=found.name, quantization=found.storage.label)
    box = machine()
    placement = place(found, box, FLAGS)
    facts = replace(FACTS, local=LocalRates(runs=(run,)))
    estimate = decode_speed(found, placement, box, facts, 64).tokens_per_s
    assert estimate is not None
    assert (estimate.low, estimate.expected) == pytest.approx((10.0 / 1.1, 10.0))
    assert estimate.basis is not Basis.MEASURED
    assert "synthetic" in estimate.source
    other = replace(found, name="another")
    assert decode_speed(other, placement, box, facts, 64) == decode_speed(other, placement, box, FACTS, 64)


def test_earlier_benchmarks_of_the_file_widen_its_interval() -> None:
    # Ten tokens a second in the newest, 8 and 13 before: the newest is expected, and what was seen is within the bounds.
    found = replace(model("llama"), fingerprint="f")
    slow, fast, now = (
        bench_run(found, fingerprint="f", tg_s=128 / rate, pp_s=5.12) for rate in (8.0, 13.0, 10.0)
    )
    box = machine()
    placement = place(found, box, FLAGS)

    def estimate(*runs: BenchRun) -> tuple[float, float, float]:
        facts = replace(FACTS, local=LocalRates(runs=runs))
        speed = decode_speed(found, placement, box, facts, 64).tokens_per_s
        assert speed is not None
        return speed.low, speed.expected, speed.high

    assert estimate(slow, fast, now) == pytest.approx((8.0, 10.0, 13.0))
    assert estimate(now) == pytest.approx((9.7, 10.0, 10.3))
    # Another release of the engine, or other threads, is no repetition.
    others = (replace(slow, engine_build="b0"), replace(fast, n_threads=1))
    assert estimate(*others, now) == pytest.approx((9.7, 10.0, 10.3))


def test_a_run_of_the_file_counts_before_a_synthetic_one() -> None:
    found = replace(model("llama"), fingerprint="f")
    real = bench_run(found, fingerprint="f", tg_s=12.8, pp_s=5.12)
    later = replace(synthetic(bench_run(found, fingerprint="f", tg_s=6.4, pp_s=5.12)), model_fingerprint="f")
    box = machine()
    facts = replace(FACTS, local=LocalRates(runs=(real, later)))
    estimate = decode_speed(found, place(found, box, FLAGS), box, facts, 64).tokens_per_s
    assert estimate is not None
    assert estimate.expected == pytest.approx(10.0)


def test_what_was_extrapolated_is_no_rate_for_other_models() -> None:
    run = synthetic(bench_run(model("llama"), fingerprint="f", tg_s=12.8, pp_s=5.12))
    box, large = machine(ram_gb_per_s=None), model("qwen3")
    facts = replace(FACTS, local=LocalRates(runs=(run,)))
    assert decode_speed(large, place(large, box, FLAGS), box, facts).tokens_per_s is None


def test_a_run_on_the_cpu_is_not_the_gpus_measurement() -> None:
    found = replace(model("llama"), fingerprint="f")
    run, _ = benched(found, 10.0, "f")
    box = machine(card())
    placement = place(found, box, FLAGS)
    estimate = decode_speed(found, placement, box, replace(FACTS, local=LocalRates(runs=(run,)))).tokens_per_s
    without = decode_speed(found, placement, box, FACTS).tokens_per_s
    assert estimate == without
    assert estimate is not None
    assert estimate.basis is not Basis.MEASURED


def test_a_shorter_benchmark_does_not_forget_what_an_earlier_one_taught() -> None:
    # The first run has a test behind a long context that is three times as slow as expected, the second one none.
    found = replace(model("llama"), fingerprint="f")
    box = machine()
    placement = place(found, box, FLAGS)

    def seconds(depth: int, factors: Factors) -> float:
        estimate = decode_speed(found, placement, box, replace(FACTS, factors=factors), depth).tokens_per_s
        assert estimate is not None
        return 1 / estimate.expected

    plain, _ = benched(found, 1.0, "f")
    deep = Measurement(
        phase="decode", n_prompt_tokens=0, n_generated_tokens=128, n_depth_tokens=4096,
        samples_s=(3 * 128 * seconds(4160, FACTS.factors),) * 5,
    )  # fmt: skip
    first = with_operators(replace(plain, measurements=(*plain.measurements, deep)), found, box)
    alone = taught_by_runs(FACTS.factors, (plain,), box)
    both = taught_by_runs(FACTS.factors, (first, plain), box)
    assert seconds(4096, both) > 1.1 * seconds(4096, alone)
    assert seconds(4096, both) == pytest.approx(
        seconds(4096, taught_by_runs(FACTS.factors, (first,), box)), rel=1e-6
    )
