"""What calls cost, worked out by hand from the providers' prices, and the ratios that are often quoted.

A million tokens at a rate of 1.25 cost 1.25 dollars; each case states the sum it is made of.
"""

from datetime import UTC, datetime

import pytest

from planner.errors import PriceError
from planner.prices.api import one_price
from planner.prices.call import CallPrice, CallTokens, call_price
from planner.prices.tariff import Processing

FRIDAY = datetime(2026, 11, 20, 12, tzinfo=UTC)
SATURDAY = datetime(2026, 11, 21, 2, tzinfo=UTC)
K = 1_000


def call(
    provider: str, model_id: str, at: datetime = FRIDAY, processing: Processing = "standard", **tokens: int
) -> CallPrice:
    return call_price(one_price(provider, model_id, at=at), CallTokens(**tokens), at, processing)


@pytest.mark.parametrize(
    ("provider", "model_id", "usd"),
    [
        # A prompt of 100,000 tokens and an answer of 10,000: 0.1 · input + 0.01 · output.
        ("openai", "gpt-5", 0.1 * 1.25 + 0.01 * 10),
        ("openai", "gpt-6-luna", 0.1 * 0.10 + 0.01 * 0.50),
        ("openai", "o3", 0.1 * 2 + 0.01 * 8),
        ("anthropic", "claude-opus-5", 0.1 * 5 + 0.01 * 25),
        ("anthropic", "claude-haiku-4-5", 0.1 * 1 + 0.01 * 5),
        ("google", "gemini-2.5-pro", 0.1 * 1.25 + 0.01 * 10),
        ("google", "gemini-2.5-flash-lite", 0.1 * 0.10 + 0.01 * 0.40),
        ("groq", "openai/gpt-oss-120b", 0.1 * 0.15 + 0.01 * 0.60),
        ("together", "openai/gpt-oss-120b", 0.1 * 0.15 + 0.01 * 0.60),
        ("cerebras", "gpt-oss-120b", 0.1 * 0.35 + 0.01 * 0.75),
        ("fireworks", "glm-5p2", 0.1 * 1.40 + 0.01 * 4.40),
        ("deepinfra", "meta-llama/Llama-3.3-70B-Instruct", 0.1 * 0.23 + 0.01 * 0.40),
        ("nebius", "meta-llama/Llama-3.3-70B-Instruct", 0.1 * 0.13 + 0.01 * 0.40),
        ("novita", "meta-llama/llama-3.3-70b-instruct", 0.1 * 0.135 + 0.01 * 0.40),
        ("mistral", "mistral-large-2512", 0.1 * 0.50 + 0.01 * 1.50),
        ("x-ai", "grok-4.5", 0.1 * 2 + 0.01 * 6),
        ("moonshotai", "kimi-k3", 0.1 * 3 + 0.01 * 15),
        ("deepseek", "deepseek-v4-flash", 0.1 * 0.15 + 0.01 * 0.60),
    ],
)
def test_models_at_many_hosts_on_a_friday_noon(provider: str, model_id: str, usd: float) -> None:
    assert call(provider, model_id, prompt=100 * K, output=10 * K).total_usd == pytest.approx(usd)


@pytest.mark.parametrize(
    ("provider", "model_id", "usd"),
    [
        # 90,000 of 100,000 prompt tokens from the cache: 0.01 · input + 0.09 · cached.
        ("openai", "gpt-5", 0.01 * 1.25 + 0.09 * 0.125),
        ("anthropic", "claude-opus-5", 0.01 * 5 + 0.09 * 0.50),
        ("groq", "openai/gpt-oss-120b", 0.01 * 0.15 + 0.09 * 0.075),
        ("moonshotai", "kimi-k3", 0.01 * 3 + 0.09 * 0.30),
        ("deepseek", "deepseek-v4-flash", 0.01 * 0.15 + 0.09 * 0.003),
    ],
)
def test_most_of_the_prompt_from_the_cache(provider: str, model_id: str, usd: float) -> None:
    assert call(provider, model_id, prompt=100 * K, cached=90 * K, output=0).total_usd == pytest.approx(usd)


def test_writing_to_the_cache_costs_a_quarter_more_at_anthropic() -> None:
    # Claude Opus 5: 5 a million fresh, 6.25 written: 0.02 · 5 + 0.08 · 6.25.
    found = call("anthropic", "claude-opus-5", prompt=100 * K, cache_written=80 * K, output=0)
    assert found.total_usd == pytest.approx(0.02 * 5 + 0.08 * 6.25)


@pytest.mark.parametrize(
    ("provider", "model_id", "processing", "usd"),
    [
        ("openai", "o3", "batch", 0.1 * 1 + 0.01 * 4),
        ("openai", "gpt-5", "batch", 0.1 * 0.625 + 0.01 * 5),
        ("openai", "gpt-5", "flex", 0.1 * 0.625 + 0.01 * 5),
        ("openai", "gpt-5", "priority", 0.1 * 2.50 + 0.01 * 20),
        ("anthropic", "claude-opus-5", "batch", 0.1 * 2.50 + 0.01 * 12.50),
        ("anthropic", "claude-opus-5", "fast", 0.1 * 10 + 0.01 * 50),
        ("google", "gemini-2.5-pro", "batch", 0.1 * 0.625 + 0.01 * 5),
        ("groq", "openai/gpt-oss-120b", "batch", 0.1 * 0.075 + 0.01 * 0.30),
        ("mistral", "mistral-large-2512", "batch", 0.1 * 0.25 + 0.01 * 0.75),
    ],
)
def test_other_ways_of_processing(provider: str, model_id: str, processing: Processing, usd: float) -> None:
    found = call(provider, model_id, processing=processing, prompt=100 * K, output=10 * K)
    assert found.total_usd == pytest.approx(usd)


@pytest.mark.parametrize(
    ("provider", "model_id", "prompt", "usd"),
    [
        # Gemini 2.5 Pro: 1.25 and 10 up to 200,000 tokens of prompt, 2.50 and 15 for all of a longer one.
        ("google", "gemini-2.5-pro", 200_000, 0.2 * 1.25 + 0.01 * 10),
        ("google", "gemini-2.5-pro", 300_000, 0.3 * 2.50 + 0.01 * 15),
        # GPT-5.6 Sol: 4 and 20, above 272,000 tokens 8 and 30.
        ("openai", "gpt-5.6-sol", 272_000, 0.272 * 4 + 0.01 * 20),
        ("openai", "gpt-5.6-sol", 300_000, 0.3 * 8 + 0.01 * 30),
        # Grok 4.5: 2 and 6, from 200,000 tokens on 4 and 12.
        ("x-ai", "grok-4.5", 199_999, 0.199999 * 2 + 0.01 * 6),
        ("x-ai", "grok-4.5", 200_000, 0.2 * 4 + 0.01 * 12),
    ],
)
def test_long_prompts(provider: str, model_id: str, prompt: int, usd: float) -> None:
    assert call(provider, model_id, prompt=prompt, output=10 * K).total_usd == pytest.approx(usd)


@pytest.mark.parametrize(
    ("at", "usd"),
    [
        # DeepSeek V4 Flash: 0.15 and 0.60; twice that from 01 to 04 and 06 to 10 UTC, Mondays to Fridays.
        (SATURDAY, 0.1 * 0.15 + 0.01 * 0.60),
        (datetime(2026, 11, 22, 7, tzinfo=UTC), 0.1 * 0.15 + 0.01 * 0.60),  # Sunday
        (datetime(2026, 11, 20, 2, tzinfo=UTC), 0.1 * 0.30 + 0.01 * 1.20),  # Friday
        (datetime(2026, 11, 23, 9, 59, tzinfo=UTC), 0.1 * 0.30 + 0.01 * 1.20),  # Monday
        (datetime(2026, 11, 23, 10, tzinfo=UTC), 0.1 * 0.15 + 0.01 * 0.60),
        (datetime(2026, 11, 23, 5, tzinfo=UTC), 0.1 * 0.15 + 0.01 * 0.60),  # between the two peaks
    ],
)
def test_deepseek_is_off_peak_all_weekend(at: datetime, usd: float) -> None:
    # genai-prices alone, which knows no weekdays, charges the peak on a Saturday at 02:00.
    found = call("deepseek", "deepseek-v4-flash", at, prompt=100 * K, output=10 * K)
    assert found.total_usd == pytest.approx(usd)
    assert "weekdays from litellm" in found.notes[0]


def test_gpt3_cost_600_times_flash_lite_until_the_cut_of_september_2022() -> None:
    # The article: Flash-Lite's input costs about 1/600 of GPT-3's in August 2022. Davinci cost 60 a million tokens,
    # in and out alike, until the cut of 1 September 2022, and 20 after: 60 / 0.10 = 600 and 20 / 0.10 = 200. Of
    # output it is 60 / 0.40 = 150. So the quoted ratio is that of input tokens at the price before the cut.
    now = one_price("google", "gemini-2.5-flash-lite", at=FRIDAY)
    august = one_price("openai", "text-davinci-002", at=datetime(2022, 8, 15, tzinfo=UTC))
    september = one_price("openai", "text-davinci-002", at=datetime(2022, 9, 1, tzinfo=UTC))
    assert august.input_usd_per_mtok / now.input_usd_per_mtok == pytest.approx(600)
    assert september.input_usd_per_mtok / now.input_usd_per_mtok == pytest.approx(200)
    assert august.output_usd_per_mtok / now.output_usd_per_mtok == pytest.approx(150)
    assert august.url is not None and "2022-0703" in august.url


def test_gpt_4_5_input_cost_750_times_flash_lite_input() -> None:
    spring = datetime(2025, 5, 1, tzinfo=UTC)
    dear = one_price("openai", "gpt-4.5-preview", at=spring)
    cheap = one_price("google", "gemini-2.5-flash-lite", at=FRIDAY)
    assert dear.input_usd_per_mtok / cheap.input_usd_per_mtok == pytest.approx(750)  # 75 / 0.10
    assert dear.output_usd_per_mtok / cheap.output_usd_per_mtok == pytest.approx(375)  # 150 / 0.40


def test_r1_cost_about_a_thirtieth_of_o1() -> None:
    winter = datetime(2025, 2, 1, tzinfo=UTC)
    o1, r1 = one_price("openai", "o1", at=winter), one_price("deepseek", "deepseek-reasoner", at=winter)
    assert o1.input_usd_per_mtok / r1.input_usd_per_mtok == pytest.approx(27.3, abs=0.05)  # 15 / 0.55
    assert o1.output_usd_per_mtok / r1.output_usd_per_mtok == pytest.approx(27.4, abs=0.05)  # 60 / 2.19


@pytest.mark.parametrize(
    ("provider", "model_id", "at", "part"),
    [
        ("openai", "text-davinci-002", datetime(2021, 1, 1, tzinfo=UTC), "not known before 2022-07-03"),
        ("openai", "text-davinci-002", FRIDAY, "not sold any more since 2024-01-04"),
        ("openai", "gpt-4.5-preview", FRIDAY, "not sold any more since 2025-07-14"),
        ("openai", "o1", datetime(2024, 12, 16, tzinfo=UTC), "not known before 2024-12-17"),
        ("deepinfra", "meta-llama/Llama-3.3-70B-Instruct", datetime(2025, 9, 29, tzinfo=UTC), "not known before 2025-09-30"),
        ("google", "gemini-2.5-flash-lite", datetime(2025, 1, 1, tzinfo=UTC), "not known before 2025-07-22"),
    ],
)  # fmt: skip
def test_a_day_without_a_known_price_has_none(provider: str, model_id: str, at: datetime, part: str) -> None:
    with pytest.raises(PriceError, match=part):
        one_price(provider, model_id, at=at)


def test_o3_fell_by_four_fifths_in_june_2025() -> None:
    before = call("openai", "o3", datetime(2025, 4, 20, tzinfo=UTC), prompt=100 * K, output=10 * K)
    after = call("openai", "o3", datetime(2025, 6, 10, tzinfo=UTC), prompt=100 * K, output=10 * K)
    assert before.total_usd == pytest.approx(0.1 * 10 + 0.01 * 40)
    assert after.total_usd == pytest.approx(0.1 * 2 + 0.01 * 8)
