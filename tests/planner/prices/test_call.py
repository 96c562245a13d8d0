"""Calls by hand-worked numbers, and against what genai-prices itself computes for every row of its list."""

import random
from datetime import UTC, date, datetime, time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import PriceError
from planner.prices import genai_list
from planner.prices.call import CallTokens, call_price
from planner.prices.price import ApiPrice
from planner.prices.tariff import Schedule, Tariff, Tier, TokenRates, Window, flat
from tests.planner.prices.test_tariff import schedules

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MTOK = 1_000_000


def priced(schedule: Schedule, **more: Any) -> ApiPrice:
    return ApiPrice(
        provider="host", model_id="model", model_name="Model", schedule=schedule, context_tokens=None, note="",
        source="a test", data_date=None, prices_checked=None, url=None, **more,
    )  # fmt: skip


ALL = Schedule(
    tariff=Tariff(
        rates=TokenRates(
            input_usd_per_mtok=2.0, output_usd_per_mtok=8.0, cache_read_usd_per_mtok=0.2,
            cache_write_usd_per_mtok=2.5, thinking_usd_per_mtok=4.0,
        ),
        tiers=(
            Tier(
                above_prompt_tokens=200_000,
                rates=TokenRates(input_usd_per_mtok=4.0, output_usd_per_mtok=12.0, cache_read_usd_per_mtok=0.4),
            ),
        ),
        usd_per_request=0.005,
    ),
    windows=(Window(start=time(1), end=time(4), tariff=flat(9.0, 9.0).tariff),),
    modes=(("batch", flat(1.0, 4.0).tariff),),
)  # fmt: skip


def test_every_kind_of_token_has_its_rate() -> None:
    tokens = CallTokens(prompt=100_000, cached=60_000, cache_written=30_000, thinking=5_000, output=1_000)
    call = call_price(priced(ALL), tokens, NOON)
    # 10,000 fresh · 2 + 60,000 cached · 0.2 + 30,000 written · 2.5 + 5,000 thinking · 4 + 1,000 · 8, per million.
    assert call.fresh_input_usd == pytest.approx(0.02)
    assert call.cached_input_usd == pytest.approx(0.012)
    assert call.cache_write_usd == pytest.approx(0.075)
    assert call.thinking_usd == pytest.approx(0.02)
    assert call.output_usd == pytest.approx(0.008)
    assert call.request_usd == 0.005
    assert call.total_usd == pytest.approx(0.02 + 0.012 + 0.075 + 0.02 + 0.008 + 0.005)


def test_a_long_prompt_changes_the_rate_of_the_whole_call_above_the_limit_and_not_at_it() -> None:
    at_limit = call_price(priced(ALL), CallTokens(prompt=200_000, output=1_000), NOON)
    above = call_price(priced(ALL), CallTokens(prompt=200_001, output=1_000), NOON)
    assert at_limit.input_usd == pytest.approx(0.4) and at_limit.output_usd == pytest.approx(0.008)
    assert above.input_usd == pytest.approx(200_001 * 4 / MTOK) and above.output_usd == pytest.approx(0.012)


def test_hours_and_batches_have_prices_of_their_own() -> None:
    tokens = CallTokens(prompt=MTOK // 10, output=MTOK)
    assert call_price(priced(ALL), tokens, NOON.replace(hour=2)).total_usd == pytest.approx(9.9)
    batch = call_price(priced(ALL), tokens, NOON.replace(hour=2), "batch")  # no hours within a batch
    assert batch.total_usd == pytest.approx(0.1 + 4.0) and batch.processing == "batch"
    with pytest.raises(
        PriceError, match="no priority price of model at host is known from a test; known: standard, batch"
    ):
        call_price(priced(ALL), tokens, NOON, "priority")


def test_what_has_no_rate_is_charged_as_the_nearest_kind_that_has_one_and_says_so() -> None:
    call = call_price(
        priced(flat(1.0, 2.0)), CallTokens(prompt=MTOK, cached=MTOK // 2, cache_written=MTOK // 4, thinking=MTOK, output=0), NOON
    )  # fmt: skip
    assert call.input_usd == pytest.approx(1.0) and call.thinking_usd == pytest.approx(2.0)
    assert "cached input" in call.notes[0] and "writing to the cache" in call.notes[1]
    assert call_price(priced(flat(1.0, 2.0)), CallTokens(prompt=1, output=1), NOON).notes == ()


def test_a_price_is_charged_only_on_days_on_which_it_is_known() -> None:
    price = priced(flat(1.0, 2.0), known_from=date(2026, 11, 20), known_until=date(2026, 11, 21))
    tokens = CallTokens(prompt=1, output=1)
    assert call_price(price, tokens, NOON).total_usd > 0
    with pytest.raises(PriceError, match="not known before 2026-11-20"):
        call_price(price, tokens, datetime(2026, 11, 19, 23, 59, tzinfo=UTC))
    with pytest.raises(PriceError, match="held until 2026-11-21"):
        call_price(price, tokens, datetime(2026, 11, 21, tzinfo=UTC))


@pytest.mark.parametrize(
    ("tokens", "part"),
    [
        ({"prompt": -1, "output": 1}, "cannot have -1 tokens"),
        ({"prompt": 10, "cached": 11, "output": 1}, "11 cached tokens of a prompt of 10"),
        ({"prompt": 10, "cached": 6, "cache_written": 5, "output": 1}, "together are more than the prompt"),
        ({"prompt": np.array([1, -1]), "output": 1}, "fewer than 0"),
        ({"prompt": np.array([1, 2]), "cached": np.array([1, 3]), "output": 1}, "more than the prompt"),
    ],
)
def test_impossible_calls_are_refused(tokens: dict[str, Any], part: str) -> None:
    with pytest.raises(PriceError, match=part):
        CallTokens(**tokens)


counts = st.integers(0, 2_000_000)
calls = st.builds(
    lambda fresh, cached, written, thinking, output: CallTokens(
        prompt=fresh + cached + written, cached=cached, cache_written=written, thinking=thinking, output=output
    ),
    counts, counts, counts, counts, counts,
)  # fmt: skip


@given(schedules, calls, st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)))  # noqa: DTZ001
def test_the_total_is_the_sum_of_its_terms_and_a_free_schedule_costs_nothing_less(
    schedule: Schedule, tokens: CallTokens, at: datetime
) -> None:
    call = call_price(priced(schedule), tokens, at)
    terms = (call.fresh_input_usd, call.cached_input_usd, call.cache_write_usd, call.thinking_usd, call.output_usd,
             call.request_usd)  # fmt: skip
    assert all(term >= 0 for term in terms)
    assert call.total_usd == pytest.approx(sum(terms), rel=1e-12)


@given(schedules, st.lists(calls, min_size=1, max_size=5), st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)))  # noqa: DTZ001  # fmt: skip
def test_many_calls_at_once_cost_what_each_costs(
    schedule: Schedule, many: list[CallTokens], at: datetime
) -> None:
    names = ("prompt", "output", "cached", "cache_written", "thinking")
    together = CallTokens(**{name: np.array([getattr(call, name) for call in many]) for name in names})
    each = [call_price(priced(schedule), call, at).total_usd for call in many]
    found = call_price(priced(schedule), together, at).total_usd
    assert np.allclose(found, each, rtol=1e-12, atol=0)


def test_every_row_of_genai_prices_costs_what_the_package_itself_computes() -> None:
    # Its list knows no weekdays, so a working day; every mode, prompts of every tier, hours of every window.
    from genai_prices import Usage

    contexts = {"batch": ("processing", "batch"), "flex": ("service_tier", "flex"), "priority": ("service_tier", "priority")}  # fmt: skip
    found = {(provider.id, model.id): (provider, model) for provider in genai_list.snapshot().providers for model in provider.models}  # fmt: skip
    rng = random.Random(20261120)
    checked: dict[str, int] = {}
    for line in genai_list.packaged_lines():
        provider, model = found[line.provider, line.model_id]
        moment = datetime(2026, 11, 20, rng.randrange(24), tzinfo=UTC)
        price = line.price_on(moment.date())
        for processing in price.schedule.processings:
            if processing == "fast":
                continue  # the package has two names for it; counted apart
            prompt = rng.choice((1_000, 31_999, 100_001, 128_001, 200_000, 272_001, 600_000))
            cached, written = prompt // 2, prompt // 4
            output, thinking = rng.randrange(4_000), rng.randrange(4_000)
            has_writes = price.schedule.at(moment, processing).rates.cache_write_usd_per_mtok is not None
            has_thinking = price.schedule.at(moment, processing).rates.thinking_usd_per_mtok is not None
            usage = Usage(
                input_tokens=prompt, cache_read_tokens=cached, output_tokens=output + thinking,
                **({"cache_write_tokens": written} if has_writes else {}),
                **({"output_reasoning_tokens": thinking} if has_thinking else {}),
            )  # fmt: skip
            expected = model.calc_price(
                usage, provider, genai_request_timestamp=moment,
                price_context=dict([contexts[processing]]) if processing != "standard" else None,
            ).total_price  # fmt: skip
            tokens = CallTokens(
                prompt=prompt, cached=cached, cache_written=written if has_writes else 0, thinking=thinking, output=output
            )  # fmt: skip
            ours = call_price(price, tokens, moment, processing).total_usd
            assert ours == pytest.approx(float(expected), rel=1e-9), (
                line.provider,
                line.model_id,
                processing,
            )
            checked[processing] = checked.get(processing, 0) + 1
    assert checked["standard"] > 1_900 and checked["batch"] > 80 and checked["priority"] > 20, checked
