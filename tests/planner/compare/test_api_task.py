"""What a task costs at an API, by hand: tokens, caches, loops, long prompts, hours."""

from dataclasses import replace
from datetime import UTC, date, datetime, time

import pytest

from planner.compare.api_task import api_option, task_terms
from planner.errors import PriceError
from planner.estimate.term import total
from planner.prices.price import ApiPrice
from planner.prices.tariff import Schedule, Tariff, Tier, TokenRates, Window, flat
from planner.workload.lengths import Lengths, parse_lengths
from planner.workload.workload import AgentLoop, Traffic, Workload

AT = datetime(2026, 11, 28, 12, tzinfo=UTC)


def price(schedule: Schedule, known_from: date | None = None) -> ApiPrice:
    return ApiPrice(
        provider="host", model_id="model", model_name="Model", schedule=schedule, context_tokens=None, note="",
        source="test", data_date=date(2026, 11, 1), prices_checked=None, url=None, known_from=known_from,
    )  # fmt: skip


def workload(prompt: str = "1000", output: str = "200", **more: object) -> Workload:
    fields: dict[str, object] = {"traffic": Traffic(tasks_per_s=1.0), **more}
    return Workload(name="test", prompt=parse_lengths(prompt), output=parse_lengths(output), **fields)  # type: ignore[arg-type]


def usd(terms: tuple[object, ...], name: str) -> float:
    return float(next(term.value for term in terms if term.name == name))  # type: ignore[attr-defined]


def test_one_call_by_hand() -> None:
    # 1,000 prompt tokens of which 400 are cached, 3 samples of 500 thinking and 200 answer tokens, at 2 / 10 / 0.5.
    asked = workload(shared_prefix_tokens=400, samples=3, thinking=Lengths(kind="uniform", low=500, high=500))
    terms, _ = task_terms(price(flat(2, 10, 0.5)), asked, AT)
    assert usd(terms, "fresh input") == pytest.approx(600 * 2e-6)
    assert usd(terms, "cached input") == pytest.approx(400 * 0.5e-6)
    assert usd(terms, "thinking") == pytest.approx(1_500 * 10e-6)
    assert usd(terms, "output") == pytest.approx(600 * 10e-6)
    # A provider that may keep nothing caches nothing.
    without, _ = task_terms(price(flat(2, 10, 0.5)), asked, AT, caches=False)
    assert usd(without, "fresh input") == pytest.approx(1_000 * 2e-6)


def test_a_loop_reads_its_own_past_from_the_cache() -> None:
    # Three calls of 1,000, 1,300 and 1,600 prompt tokens: each adds 200 of answer and 100 of a tool.
    # Cached: 0, 1,200 and 1,500 (what was sent and answered); fresh 1,000 + 100 + 100, all of it written for the next call.
    loop = AgentLoop(steps=parse_lengths("3"), tool_tokens=parse_lengths("100"), max_steps=5)
    rates = TokenRates(
        input_usd_per_mtok=2,
        output_usd_per_mtok=10,
        cache_read_usd_per_mtok=0.2,
        cache_write_usd_per_mtok=2.5,
    )
    terms, _ = task_terms(
        price(Schedule(tariff=Tariff(rates=rates, usd_per_request=0.01))), workload(agent=loop), AT
    )
    assert usd(terms, "cached input") == pytest.approx(2_700 * 0.2e-6)
    assert usd(terms, "writing to the cache") == pytest.approx(1_200 * 2.5e-6)
    assert usd(terms, "output") == pytest.approx(600 * 10e-6)
    assert usd(terms, "fee per request") == pytest.approx(0.03)


def test_long_prompts_pay_the_long_rate() -> None:
    # Half of the prompts, which are even between 50 and 150, are above 100 and cost twice as much a token.
    short, long = (
        TokenRates(input_usd_per_mtok=1, output_usd_per_mtok=0),
        TokenRates(input_usd_per_mtok=2, output_usd_per_mtok=0),
    )
    tiered = Schedule(tariff=Tariff(rates=short, tiers=(Tier(above_prompt_tokens=100, rates=long),)))
    terms, _ = task_terms(price(tiered), workload(prompt="50-150"), AT)
    # ∫50..100 x + 2 · ∫100..150 x over 100 = (3,750 + 12,500) / 100 = 162.5 tokens at the short rate.
    assert usd(terms, "fresh input") == pytest.approx(162.5e-6, rel=0.02)
    below, _ = task_terms(price(tiered), workload(prompt="50-90"), AT)
    assert usd(below, "fresh input") == pytest.approx(70e-6)


def test_hours_count_by_how_busy_they_are() -> None:
    # Off-peak from 16:00 to 24:00 at half the price; a day whose tasks all come between 12:00 and 20:00: half of them.
    half = Window(
        start=time(16),
        end=time(0),
        tariff=Tariff(rates=TokenRates(input_usd_per_mtok=1, output_usd_per_mtok=0)),
    )
    day = (0.0,) * 12 + (1.0,) * 8 + (0.0,) * 4
    asked = workload(traffic=Traffic(tasks_per_s=1.0, day_profile=day))
    schedule = Schedule(
        tariff=Tariff(rates=TokenRates(input_usd_per_mtok=2, output_usd_per_mtok=0)), windows=(half,)
    )
    terms, _ = task_terms(price(schedule), asked, AT)
    assert usd(terms, "fresh input") == pytest.approx(1_000 * 1.5e-6)


def test_the_option_is_the_sum_of_its_terms() -> None:
    # Another source says 2.2 and 9: 1,000 · 2.2 + 200 · 9 = 4,000 as well; a third 3 and 10: 5,000 millionths.
    rivals = (price(flat(2.2, 9)), price(flat(3, 10)))
    option = api_option(replace(price(flat(2, 10)), rivals=rivals), workload(), AT)
    figure = option.specific["usd_per_task"]
    assert figure.value == total(option.task_terms) == pytest.approx(1_000 * 2e-6 + 200 * 10e-6)
    assert (figure.low, figure.high) == pytest.approx((4_000e-6, 5_000e-6))
    assert not api_option(price(flat(2, 10)), workload(), AT).specific["usd_per_task"].is_uncertain
    assert figure.as_of == "2026-11-01"


def test_a_day_before_the_records_and_a_mode_without_a_price_are_errors() -> None:
    with pytest.raises(PriceError, match="not known before 2026-12-01"):
        task_terms(price(flat(2, 10), known_from=date(2026, 12, 1)), workload(), AT)
    with pytest.raises(PriceError, match="no batch price"):
        task_terms(price(flat(2, 10)), workload(), AT, "batch")
