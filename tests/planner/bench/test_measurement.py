"""The statistics of a measurement, against numbers worked out by hand."""

import pytest

from planner.estimate.measurement import EngineMemory, Measurement


def prefill(*samples_s: float, n_tokens: int = 100, depth: int = 0) -> Measurement:
    return Measurement(
        phase="prefill",
        n_prompt_tokens=n_tokens,
        n_generated_tokens=0,
        n_depth_tokens=depth,
        samples_s=samples_s,
    )


def test_mean_is_of_rates_as_llama_bench_prints_it() -> None:
    # 100 tokens in 1 s and in 4 s: rates 100 and 25, mean 62.5. The rate of the mean time would be 40.
    assert prefill(1.0, 4.0).mean_tokens_per_s == 62.5


def test_standard_deviation_is_of_a_sample() -> None:
    # Rates 100 and 25: deviations ±37.5, squares 1406.25 each, sum 2812.5 over n−1 = 1, root 53.033.
    assert prefill(1.0, 4.0).stddev_tokens_per_s == pytest.approx(53.033, abs=0.001)
    assert prefill(1.0).stddev_tokens_per_s == 0.0


def test_lower_quartile_of_time_interpolates() -> None:
    # Times 1, 2, 3, 4: the quartile is at position 0.75 of 0..3, so 1 + 0.75·(2 − 1) = 1.75 s → 57.14 tok/s.
    assert prefill(4.0, 2.0, 1.0, 3.0).quartile_tokens_per_s == pytest.approx(100 / 1.75)
    # Five samples put it exactly on the second smallest.
    assert prefill(5.0, 4.0, 2.0, 1.0, 3.0).quartile_tokens_per_s == 50.0
    assert prefill(2.0).quartile_tokens_per_s == 50.0


def test_best_is_the_fastest_repetition() -> None:
    assert prefill(4.0, 2.0, 8.0).best_tokens_per_s == 50.0


def test_names_are_those_of_llama_bench() -> None:
    assert prefill(1.0, n_tokens=512).name == "pp512"
    assert prefill(1.0, n_tokens=512, depth=4096).name == "pp512 @ d4096"
    generated = Measurement(
        phase="decode", n_prompt_tokens=0, n_generated_tokens=128, n_depth_tokens=0, samples_s=(2.0,)
    )
    assert generated.name == "tg128"
    assert generated.rates_tokens_per_s == (64.0,)  # 128 tokens in 2 s


@pytest.mark.parametrize("samples_s", [(), (0.0,), (1.0, -1.0)])
def test_a_measurement_needs_positive_times(samples_s: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="positive time"):
        prefill(*samples_s)


def test_engine_memory_adds_up() -> None:
    memory = EngineMemory(
        weights_bytes=1, kv_bytes=20, state_bytes=300, compute_bytes=4000, output_bytes=50000
    )
    assert memory.total_bytes == 54321
