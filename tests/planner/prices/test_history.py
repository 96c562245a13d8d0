"""The days on which a price changed, over several sources."""

import itertools
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from planner.prices.book import PriceBook, ReadWhenAsked, default_book
from planner.prices.history import at_each_day, price_steps
from planner.prices.line import Period, PriceLine, chained
from planner.prices.tariff import Tariff, TokenRates, flat

START = date(2025, 1, 1)
KEY = ("host", "model")


def line(source: str, periods: tuple[Period, ...]) -> PriceLine:
    return PriceLine(
        provider="host", model_id="model", model_name="model", periods=periods, context_tokens=None, source=source,
        data_date=None,
    )  # fmt: skip


def book(*lines: PriceLine) -> PriceBook:
    return PriceBook((ReadWhenAsked(lambda: lines[:1]), ReadWhenAsked(lambda: lines[1:])))


prices = st.lists(
    st.tuples(st.integers(0, 60), st.booleans(), st.sampled_from([1.0, 2.0, 3.0])), min_size=1, max_size=5,
    unique_by=lambda start: start[0],
)  # fmt: skip


def periods_of(starts: list[tuple[int, bool, float]], ends: int | None) -> tuple[Period, ...]:
    ordered = sorted(starts)
    found = chained([(START + timedelta(days=day), known, flat(usd, usd), "") for day, known, usd in ordered])
    if ends is None:
        return found
    last = found[-1]
    until = last.since + timedelta(days=ends)
    return (*found[:-1], Period(since=last.since, until=until, schedule=last.schedule))


@given(prices, prices, st.none() | st.integers(1, 30), st.none() | st.integers(1, 30))
def test_steps_say_of_every_day_what_the_book_says(
    first: list[tuple[int, bool, float]],
    second: list[tuple[int, bool, float]],
    ends: int | None,
    other_ends: int | None,
) -> None:
    both = book(line("first", periods_of(first, ends)), line("second", periods_of(second, other_ends)))
    steps = price_steps(both, KEY)
    days = [START + timedelta(days=day) for day in range(-2, 100)]
    told = [price and price.mixed_usd_per_mtok for price in (both.known_on(KEY, day) for day in days)]
    assert list(at_each_day(steps, days)) == told
    for earlier, later in itertools.pairwise(steps):
        assert earlier.until is not None and earlier.until <= later.since
        assert earlier.until < later.since or earlier.price.rates != later.price.rates


@given(prices, prices, st.integers(0, 100))
def test_the_first_source_that_knows_a_day_counts(
    first: list[tuple[int, bool, float]], second: list[tuple[int, bool, float]], day: int
) -> None:
    lines = (line("first", periods_of(first, 5)), line("second", periods_of(second, None)))
    asked = START + timedelta(days=day)
    found = book(*lines).known_on(KEY, asked)
    knowing = [one.source for one in lines if one.period_on(asked) is not None]
    assert (found.source if found else None) == (knowing[0] if knowing else None)


def test_a_way_of_processing_that_gets_a_price_begins_no_step() -> None:
    rates = TokenRates(input_usd_per_mtok=0.5, output_usd_per_mtok=1.0)
    with_batch = flat(1.0, 2.0, modes=(("batch", Tariff(rates=rates)),))
    starts = [(START, False, flat(1.0, 2.0), ""), (START + timedelta(days=9), True, with_batch, "")]
    (step,) = price_steps(book(line("list", chained(starts))), KEY)
    assert (step.since, step.until, step.begins) == (START, None, "by 2025-01-01")
    assert step.price.schedule.processings == ("standard", "batch")  # the newest of the step


def test_deepseek_v4_flash_fell_and_rose() -> None:
    steps = price_steps(default_book(), ("deepseek", "deepseek-v4-flash"))
    assert [(step.begins, step.price.input_usd_per_mtok) for step in steps] == [
        ("by 2026-06-30", 0.14), ("by 2026-08-16", 0.14), ("2026-08-17", 0.22), ("2026-09-10", 0.15),
    ]  # fmt: skip
