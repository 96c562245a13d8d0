"""The levers of an answer's cost, by hand, and the range that the article gives."""

from datetime import UTC, datetime

import pytest

from planner.compare.levers import levers
from planner.prices.api import one_price
from planner.prices.price import ApiPrice
from planner.prices.tariff import flat

AT = datetime(2026, 11, 28, tzinfo=UTC)


def price(name: str, given: float, taken: float, context: int | None = None) -> ApiPrice:
    return ApiPrice(
        provider="host", model_id=name, model_name=name, schedule=flat(given, taken), context_tokens=context, note="",
        source="test", data_date=None, prices_checked=None, url=None,
    )  # fmt: skip


def test_by_hand() -> None:
    # Small at 0.1 / 0.4: 2,000 · 0.1 + 300 · 0.4 = 320 millionths. Frontier at 20 / 80, 8 samples of 200,000 in and 4,300 out:
    # 8 · (4 + 0.344) = 34.752, which is 108,600 times as much.
    found = levers([price("small", 0.1, 0.4), price("frontier", 20, 80)], AT)
    assert len(found.settings) == 16
    cheapest, dearest = found.settings[0], found.settings[-1]
    assert (cheapest.model, cheapest.n_samples) == ("host/small", 1)
    assert (dearest.model, dearest.n_samples) == ("host/frontier", 8)
    assert (cheapest.usd, dearest.usd) == pytest.approx((320e-6, 34.752))
    assert found.ratio == pytest.approx(108_600)
    assert found.alone("n_samples") == pytest.approx(8)
    assert found.alone("model") == pytest.approx(200)
    # 200,000 tokens of context instead of 2,000: (20,000 + 120) / 320 millionths.
    assert found.alone("context_tokens") == pytest.approx(20_120 / 320)
    assert found.alone("thinking_tokens") == pytest.approx((320 + 1_600) / 320)


def test_a_context_that_a_model_does_not_hold_has_no_cost() -> None:
    found = levers([price("short", 0.1, 0.4, context=128_000)], AT)
    assert {setting.context_tokens for setting in found.possible} == {2_000}
    assert found.settings[-1].usd is None


def test_the_articles_range_from_the_prices_of_a_day() -> None:
    # On 2026-11-14 Gemini 2.5 Flash-Lite cost 0.10 / 0.40 and o3-pro 20 / 80, as on the day of the article.
    day = datetime(2026, 11, 14, 12, tzinfo=UTC)
    small, frontier = (
        one_price("google", "gemini-2.5-flash-lite", at=day),
        one_price("openai", "o3-pro", at=day),
    )
    # o3-pro holds 200,000 tokens with its answer, so the long context is not to be had; the other levers alone give
    # 8 · (2,000 · 20 + 4,300 · 80) = 3.072 over 320 millionths.
    found = levers([small, frontier], day)
    assert {setting.context_tokens for setting in found.possible if setting.price is frontier} == {2_000}
    assert found.ratio == pytest.approx(9_600)
    # With 190,000: 8 · (3.8 + 0.344) = 33.152, within the article's 10,000 to 1,000,000 times.
    assert levers([small, frontier], day, context_tokens=(2_000, 190_000)).ratio == pytest.approx(103_600)
    # GPT-4.5, no longer sold, at 75 / 150, if it held as much:
    gone = levers([small, price("gpt-4.5-preview", 75, 150)], day)
    # 8 · (200,000 · 75 + 4,300 · 150) = 125.16 over 320 millionths.
    assert gone.ratio == pytest.approx(125.16 / 320e-6, rel=1e-3)
