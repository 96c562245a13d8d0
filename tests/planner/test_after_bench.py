"""Bounds after a benchmark of another model: as wide as what is open after it, and no narrower for few machines."""

from planner.api.after_bench_speeds import after_bench
from planner.api.held_out_speeds import samples_of
from planner.readers.speed_rows.bench_row import rows_from
from planner.readers.speed_rows.place import PlacedRow, place_row
from planner.speed.fitting import fit_effects
from planner.speed.held_out import fits_without
from planner.speed.intervals import AFTER_BENCH

BASE = {
    "n_devices": "1", "backend": "CUDA", "engine": "llama.cpp", "ngl": "99", "test": "tg128", "n_prompt": "0",
    "n_gen": "128",
}  # fmt: skip
SMALL = {
    "model": "llama 8B Q4_K - Medium", "arch": "llama", "quant": "Q4_K - Medium", "file_size_gib": "4.58",
    "params_b": "8.03",
}  # fmt: skip
LARGE = SMALL | {"model": "llama 70B Q4_K - Medium", "file_size_gib": "39.6", "params_b": "70.55"}
PROMPT = {"test": "pp512", "n_prompt": "512", "n_gen": "0"}
# Cards of one family, whose rates are 0.6 to 0.75 of what their bandwidth would give a file of that size.
RATES = {
    "RTX 3090": (125.0, 16.5), "RTX 3090 Ti": (138.0, 17.6), "RTX A6000": (100.0, 14.0), "RTX 4090": (150.0, 19.0),
    "L40S": (112.0, 15.4), "RTX 5090": (240.0, 31.0),
}  # fmt: skip


def placed() -> list[PlacedRow]:
    rows = []
    for device, rates in RATES.items():
        for model, rate, n in ((SMALL, rates[0], "1"), (LARGE, rates[1], "4")):
            rows.append(BASE | model | {"device": device, "tok_s": str(rate), "n_devices": n})
            if n == "4":  # a machine of four runs the small one too, which is what it benches
                rows.append(BASE | SMALL | {"device": device, "tok_s": str(rate * 7), "n_devices": n})
    return [place_row(row) for row in rows_from(rows, "made up")]


def test_the_large_model_is_predicted_after_the_small_one_on_each_machine() -> None:
    rows = placed()
    samples = samples_of(rows)
    found = after_bench(rows, fits_without(samples, fit_effects(samples), "device"))
    assert {prediction.device for prediction in found.predictions} == set(RATES)
    for prediction in found.predictions:
        assert prediction.low is not None and prediction.expected is not None and prediction.high is not None
        assert prediction.low < prediction.expected < prediction.high
    states = {spread.knowledge for spread in found.spreads}
    assert states == {*AFTER_BENCH, "bench_rate"}
    widened = [spread for spread in found.spreads if spread.knowledge in AFTER_BENCH]
    assert all(spread.slower is not None and spread.faster is not None for spread in widened)


def test_all_that_was_measured_of_the_small_model_teaches() -> None:
    # One card's products in F16 are twice as slow as its family's; only the small model's F16 file tells of it.
    rows = []
    for device, rates in RATES.items():
        slowness = 2 if device == "L40S" else 1
        for model, size, rate in ((SMALL, "14.96", 32 * rates[0]), (LARGE, "131.4", 28 * rates[1])):
            here = BASE | PROMPT | model | {"device": device, "n_devices": "8"}
            rows.append(here | {"tok_s": str(rate)})
            rows.append(here | {"quant": "F16", "file_size_gib": size, "tok_s": str(rate / slowness)})
    placed_rows = [place_row(row) for row in rows_from(rows, "made up")]
    samples = samples_of(placed_rows)
    found = after_bench(placed_rows, fits_without(samples, fit_effects(samples), "device"))
    slow = [p for p in found.predictions if p.device == "L40S" and "F16" in p.group]
    assert [p.model for p in found.predictions if "8b" in p.model] == []
    assert slow
    for prediction in slow:
        assert prediction.before is not None
        after, before = prediction.error_fraction, prediction.before.error_fraction
        assert after is not None and before is not None
        assert after < before


def test_without_a_second_model_nothing_is_said() -> None:
    rows = [row for row in placed() if row.case.model_key == placed()[0].case.model_key]
    samples = samples_of(rows)
    found = after_bench(rows, fits_without(samples, fit_effects(samples), "device"))
    assert (found.predictions, found.spreads) == ((), ())
