"""The noise floor compares different people on one test, with everything alike that the speed model tells apart."""

import pytest

from planner.readers.speed_rows.noise import NoiseFloor, noise_floor
from planner.readers.speed_rows.place import PlacedRow
from tests.planner.readers.speed_rows.test_rows import place

ANN, BEN = "ann/benchmarks (README)", "ben notebooks"


def floor(*rows: PlacedRow) -> NoiseFloor | None:
    return next(iter(noise_floor(rows)), None)


def test_two_people_on_one_test_disagree_by_their_rates() -> None:
    found = floor(
        place(origin=ANN, tok_s="100"), place(origin=BEN, tok_s="110"), place(origin=BEN, tok_s="130")
    )
    assert found is not None
    # The second has 110 and 130, in the middle 120: a fifth more than 100.
    assert (found.speed_class, found.n_tests) == ("dense_decode", 1)
    assert found.median_fraction == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"origin": ANN}, {"origin": "ann/benchmarks(jsonl)"}),  # the same person
        ({"fa": "1"}, {"fa": "0"}),  # attention fused or not
        ({"engine": "llama.cpp"}, {"engine": "ik_llama.cpp"}),
        (
            {"build": "4426e298 (2824)"},
            {"build": "4426e298 (6824)"},
        ),  # before and after CUDA's kernels changed
        ({"n_gen": "128"}, {"n_gen": "256"}),
        ({"tok_s": "100"}, {"tok_s": "100.1"}),  # copied
    ],
)
def test_what_is_no_repeat_is_no_noise(one: dict[str, str], other: dict[str, str]) -> None:
    first = {"origin": ANN, "tok_s": "100"} | one
    second = {"origin": BEN, "tok_s": "150"} | other
    assert floor(place(**first), place(**second)) is None


def test_who_does_not_say_how_attention_ran_is_compared() -> None:
    found = floor(place(origin=ANN, tok_s="100", fa="1"), place(origin=BEN, tok_s="125"))
    assert found is not None
    assert found.median_fraction == pytest.approx(0.25)
