"""Conclusions from a report's record: worked by hand, since every format repeats them."""

from dataclasses import replace

import pytest

from hardware.spec import Basis
from planner.estimate.speed import SpeedEstimate
from planner.estimate.term import Interval
from planner.report.findings import headline, memory_checks, money, speed_checks
from tests.planner.report.reports import LARGE, cpu_report, gpu_report, make_report, price


def estimate(low: float, expected: float, high: float) -> SpeedEstimate:
    interval = Interval(low=low, expected=expected, high=high, basis=Basis.DERIVED, source="by hand")
    return SpeedEstimate(tokens_per_s=interval, terms=(), limited_by=None)


def test_break_even_is_the_cheapest_bill_per_machine() -> None:
    # 30 M tokens, a quarter generated, at $0.05 in and $0.08 out: 30 · (0.75 · 0.05 + 0.25 · 0.08) = $1.725.
    report = replace(cpu_report(), capacity_tokens_per_month=40e6)
    found = money(report)
    assert found.n_machines == 1
    assert found.break_even_usd_per_month == pytest.approx(1.725)
    # Busy all month it makes 40 M tokens, for which the API asks 40 · 0.0575 = $2.30.
    assert found.full_break_even_usd_per_month == pytest.approx(2.30)


def test_a_workload_beyond_one_machine_is_shared_by_several() -> None:
    # 30 M tokens over machines of 12 M each: three, and each may cost a third of $1.725.
    found = money(replace(cpu_report(), capacity_tokens_per_month=12e6, own_usd_per_month=5.0))
    assert found.n_machines == 3
    assert found.break_even_usd_per_month == pytest.approx(0.575)
    assert found.own_usd_per_month == pytest.approx(15.0)


def test_own_cost_gives_the_volume_above_which_one_machine_wins() -> None:
    # $140 buys 140 / 0.0575 = 2,434.78 M tokens of the cheapest API.
    assert money(gpu_report()).break_even_tokens_per_month == pytest.approx(2_434.7826e6)


def test_a_free_offer_is_not_a_price_to_compare_with() -> None:
    report = make_report(prices=(price("free-model", 0.0, 0.0), price("paid", 1.0, 1.0)))
    cheapest = money(report).cheapest
    assert report.apis[0].price.model_id == "free-model"
    assert cheapest is not None and cheapest.price.model_id == "paid"


def test_nothing_is_said_of_a_month_where_the_model_does_not_fit() -> None:
    # 141 GB in 16 bits on a machine with 20.3 GiB free: speeds can be computed, but it will never run.
    report = make_report(network=LARGE, quant="F16", measured=False)
    assert not headline(report).placement.fits
    assert report.capacity_tokens_per_month is not None
    found = money(report)
    assert (found.capacity_tokens_per_month, found.n_machines, found.break_even_usd_per_month) == (None,) * 3


def test_the_same_model_elsewhere_is_recognised() -> None:
    report = make_report(name="Llama-3.1-8B-Instruct")
    assert money(report).cheapest_is_same_model
    assert not money(cpu_report()).cheapest_is_same_model


def test_a_measurement_is_held_against_the_estimate_of_the_same_test() -> None:
    expected = {
        "pp512": estimate(170, 200, 230), "tg128": estimate(80, 90, 100), "tg32 @ d4096": estimate(25, 30, 32),
    }  # fmt: skip
    prefill, decode, deep = speed_checks(replace(cpu_report(), expected=expected))
    # pp512 in 3.1, 3.2 and 3.0 s is (165.16 + 160 + 170.67) / 3 = 165.28 tokens/s: under 170, 0.826 of 200.
    assert (prefill.name, prefill.held) == ("pp512", False)
    assert prefill.ratio == pytest.approx(0.8264, abs=1e-4)
    # tg128 in 1.38, 1.40, 1.42 and 1.36 s is 92.11 tokens/s: inside 80–100.
    assert (decode.name, decode.held) == ("tg128", True)
    # 31.79 tokens/s, inside 25–32.
    assert (deep.name, deep.held) == ("tg32 @ d4096", True)


def test_a_test_without_an_estimate_is_not_judged() -> None:
    report = cpu_report()
    checks = speed_checks(replace(report, expected={"tg128": report.before.decode}))
    assert [check.held is None for check in checks] == [True, False, True]
    assert checks[0].why_not_predicted == "there is no estimate of such a test"


def test_without_a_benchmark_the_estimates_stand_alone() -> None:
    checks = speed_checks(gpu_report())
    assert [check.measured for check in checks] == [None, None, None]
    assert [check.phase for check in checks] == ["prefill", "decode", "decode"]
    assert all(check.predicted is not None and check.ratio is None for check in checks)


def test_memory_is_compared_at_the_context_that_the_engine_ran_with() -> None:
    report = cpu_report()
    assert report.run is not None and report.run.n_context_tokens == 4608
    by_name = {check.component: check for check in memory_checks(report)}
    # 30 layers · 3 KV heads · 64 · (K and V) · 2 bytes = 23,040 bytes a token, for 4,608 of them, not 4,096.
    assert by_name["KV cache"].predicted_bytes == 23_040 * 4608
    # A tied head is stored once: weights and embedding together are the file's tensors.
    assert by_name["weights"].predicted_bytes == by_name["weights"].reported_bytes
    assert "state" not in by_name  # attention alone keeps none
    assert memory_checks(gpu_report()) == ()


def test_the_answer_speaks_of_the_first_estimate_s_context() -> None:
    report = make_report(contexts=(4096, 8192))
    assert headline(report) is report.rows[0]
    assert headline(replace(report, rows=())) is report.before
