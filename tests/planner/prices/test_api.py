"""Against the real price list of genai-prices; figures were read from its rows and from what it computes."""

import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from planner.errors import PriceError
from planner.prices import genai_list
from planner.prices.api import ApiPrice, api_prices, one_price, reference_prices, vanished_references
from planner.prices.call import CallPrice, CallTokens, call_price
from planner.prices.tariff import flat
from profiles.loader import USER_FOLDER_VARIABLE, model_rows

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MTOK = 1_000_000


def price_call(
    provider: str,
    model_id: str,
    *,
    input_tokens: int,
    output_tokens: int,
    cached_tokens: int = 0,
    at: datetime,
) -> CallPrice:
    """What a call to a listed model costs."""
    tokens = CallTokens(prompt=input_tokens, cached=cached_tokens, output=output_tokens)
    return call_price(one_price(provider, model_id, at=at), tokens, at)


def one(prices: Sequence[ApiPrice], provider: str) -> ApiPrice:
    found = [price for price in prices if price.provider == provider]
    assert len(found) == 1, [price.model_id for price in found]
    return found[0]


def test_importing_the_price_code_does_not_import_the_price_list() -> None:
    # genai-prices costs about half a second; every command imports this module.
    code = "import sys, planner.prices.api, planner.prices.rent; print('genai_prices' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_price_says_where_it_is_from() -> None:
    price = one(api_prices("gpt-5", at=NOON), "openai")
    assert (price.input_usd_per_mtok, price.output_usd_per_mtok) == (1.25, 10.0)
    assert price.cached_input_usd_per_mtok == 0.125
    assert price.source.startswith("genai-prices 0.2.")
    assert price.url is not None and price.url.startswith("https://")
    assert price.prices_checked is not None and price.data_date is not None
    assert date(2026, 1, 1) < price.prices_checked <= price.data_date


def test_only_rows_with_both_token_prices_are_given() -> None:
    prices = api_prices(at=NOON)
    assert len(prices) > 1_500
    assert all(p.input_usd_per_mtok >= 0 and p.output_usd_per_mtok >= 0 for p in prices)
    ids = {(p.provider, p.model_id) for p in prices}
    # Google's own Gemma rows, embeddings and OpenRouter's free previews are listed without token prices.
    assert ("google", "gemma-3") not in ids
    assert not any(provider == "voyageai" for provider, _ in ids)
    assert not any(model_id.endswith(":free") for _, model_id in ids)


def test_prices_come_cheapest_first() -> None:
    mixed = [price.mixed_usd_per_mtok for price in api_prices("gpt-oss-120b", at=NOON)]
    assert mixed == sorted(mixed)
    assert len(mixed) > 10
    price = api_prices("gpt-oss-120b", "groq", at=NOON)[0]
    # 3 parts of 0.15 and 1 part of 0.60.
    assert price.mixed_usd_per_mtok == pytest.approx((3 * 0.15 + 0.60) / 4)


@pytest.mark.parametrize(
    ("query", "providers"),
    [
        ("Llama-3.3-70B", {"groq", "together", "novita", "ovhcloud", "cloudflare", "huggingface_nebius"}),
        ("meta-llama/Llama-3.3-70B-Instruct", {"groq", "together", "novita", "ovhcloud"}),
        ("gpt-oss-120b", {"groq", "together", "fireworks", "cerebras", "aws", "ovhcloud", "databricks"}),
        ("Qwen3-30B-A3B", {"cloudflare", "huggingface_novita"}),
        ("Qwen/Qwen3.5-35B-A3B", {"novita", "doubleword"}),
    ],
)
def test_hosted_open_weights_are_found_across_providers(query: str, providers: set[str]) -> None:
    found = api_prices(query, at=NOON)
    assert providers <= {price.provider for price in found}
    wrong = [p.model_id for p in found if "nano" in p.model_id.lower() or "distill" in p.model_id.lower()]
    assert wrong == []


def test_a_query_for_a_model_does_not_bring_its_successors() -> None:
    assert {"5.2" in price.model_id or "5p2" in price.model_id for price in api_prices("GLM-5", at=NOON)} == {
        False
    }


def test_a_query_that_names_no_whole_model_gives_those_that_contain_it() -> None:
    found = api_prices("flash-lite", "google", at=NOON)
    assert len(found) >= 3
    assert all("flash-lite" in price.model_id for price in found)


@pytest.mark.parametrize(
    ("query", "provider", "part"),
    [
        ("lama-3.3-70c", None, "did you mean"),
        ("qqqqqqqq", None, "try a shorter part"),
        ("", None, "no API price"),
        ("gpt-5", "groq", "no API price"),
        (None, "groqq", "did you mean groq"),
        (None, "qqqqqqqq", "no provider"),
    ],
)
def test_what_is_not_found_is_one_line_with_a_way_on(
    query: str | None, provider: str | None, part: str
) -> None:
    with pytest.raises(PriceError) as caught:
        api_prices(query, provider, at=NOON)
    message = str(caught.value)
    assert part in message and "genai-prices 0.2." in message
    assert "\n" not in message and len(message) < 600


def test_a_name_of_any_length_is_refused_at_once() -> None:
    with pytest.raises(PriceError, match="a name of 1,000,000 characters; names have at most 200"):
        api_prices("x" * 1_000_000, at=NOON)


def test_tiers_and_batch_rates_are_told() -> None:
    price = one(api_prices("gemini-2.5-pro", "google", at=NOON), "google")
    assert price.input_usd_per_mtok == 1.25  # the first tier
    assert "prompt over 200,000 tokens: 2.5 in, 15 out" in price.note
    assert "batch: 0.625 in, 5 out" in price.note


def test_a_price_by_the_hour_is_that_of_most_hours_with_the_others_told() -> None:
    # deepseek-chat: 00:30-16:30 UTC are the standard price, 16 hours; the night discount is not the price.
    chat = one(api_prices("deepseek-chat", "deepseek", at=NOON), "deepseek")
    assert (chat.input_usd_per_mtok, chat.output_usd_per_mtok) == (0.27, 1.10)
    assert "other hours: 0.135 in, 0.55 out" in chat.note
    # DeepSeek V4 Flash: 01-04 and 06-10 UTC are peak, 7 hours; 17 hours are not.
    flash = one(api_prices("deepseek-v4-flash", "deepseek", at=NOON), "deepseek")
    assert (flash.input_usd_per_mtok, flash.output_usd_per_mtok) == (0.15, 0.60)
    assert (
        "as shown Mon-Fri 00:00-01:00 UTC, Mon-Fri 04:00-06:00 UTC, Mon-Fri 10:00-24:00 UTC, Sat-Sun"
        in flash.note
    )
    assert "other hours: 0.3 in, 1.2 out" in flash.note
    # The list of prices does not change with the clock.
    at_two = datetime(2026, 11, 20, 2, tzinfo=UTC)
    assert api_prices("deepseek-v4-flash", "deepseek", at=at_two) == (flash,)


def test_doubtful_lists_are_marked() -> None:
    assert "routed" in one(api_prices("gpt-oss-120b", "openrouter", at=NOON), "openrouter").note
    assert "OpenRouter" in one(api_prices("gpt-oss-120b", "openai", at=NOON), "openai").note
    sonar = next(price for price in api_prices("sonar", "perplexity", at=NOON) if price.model_id == "sonar")
    assert "1,000 requests" in sonar.note
    assert "deprecated" in one(api_prices("Llama-3.3-70B", "cerebras", at=NOON), "cerebras").note


def test_a_price_that_is_announced_is_told_and_not_yet_charged() -> None:
    # OpenAI's o3 fell from 10/40 to 2/8 on 2025-06-10; since when it was 10/40 the list does not say.
    before = one(api_prices("o3", "openai", at=datetime(2025, 6, 9, tzinfo=UTC)), "openai")
    assert (before.input_usd_per_mtok, before.output_usd_per_mtok) == (10.0, 40.0)
    assert "from 2025-06-10: 2 in, 8 out" in before.note
    after = one(api_prices("o3", "openai", at=NOON), "openai")
    assert (after.input_usd_per_mtok, after.output_usd_per_mtok) == (2.0, 8.0)
    assert "2025-06-10" not in after.note


@pytest.mark.parametrize(
    ("hour", "total_usd"),
    [
        # Half the prompt from the cache: 0.5·0.15 + 0.5·0.003 + 1·0.60 = 0.6765; twice that in peak hours.
        (12, 0.6765),
        (2, 1.353),
    ],
)
def test_a_call_is_priced_by_the_hour_and_the_prompt_counts_whole(hour: int, total_usd: float) -> None:
    price = price_call(
        "deepseek", "deepseek-v4-flash", input_tokens=MTOK, cached_tokens=MTOK // 2, output_tokens=MTOK,
        at=datetime(2026, 11, 20, hour, tzinfo=UTC),
    )  # fmt: skip
    assert price.total_usd == pytest.approx(total_usd)
    assert price.total_usd == pytest.approx(price.input_usd + price.output_usd)


@pytest.mark.parametrize(
    ("input_tokens", "total_usd"),
    [(100_000, 0.125), (300_000, 0.75)],  # 0.1·1.25; above 200,000 the whole prompt at 2.50: 0.3·2.50
)
def test_a_long_prompt_is_priced_by_its_tier(input_tokens: int, total_usd: float) -> None:
    price = price_call("google", "gemini-2.5-pro", input_tokens=input_tokens, output_tokens=0, at=NOON)
    assert price.total_usd == pytest.approx(total_usd)


def test_a_fee_per_request_is_in_the_total() -> None:
    # Sonar: 12 per 1,000 requests and 1 per million tokens in: 0.012 + 0.001.
    price = price_call("perplexity", "sonar", input_tokens=1_000, output_tokens=0, at=NOON)
    assert price.total_usd == pytest.approx(0.013)
    assert price.input_usd == pytest.approx(0.001)
    assert any("fee per request" in note for note in price.notes)


def test_cached_input_without_a_price_of_its_own_costs_as_much_as_fresh() -> None:
    price = price_call(
        "novita",
        "meta-llama/llama-3.3-70b-instruct",
        input_tokens=MTOK,
        cached_tokens=MTOK,
        output_tokens=0,
        at=NOON,
    )
    assert price.total_usd == pytest.approx(0.135)
    assert any("no price for cached input" in note for note in price.notes)


def test_every_listed_row_can_be_priced_and_costs_what_the_row_says() -> None:
    # The package alone cannot find 85 of its own ids, all of Fireworks' among them.
    for row in api_prices(at=NOON):
        if "UTC" in row.note or "requests" in row.note or "prompt over" in row.note:
            continue  # these depend on more than tokens; tested apart
        price = price_call(row.provider, row.model_id, input_tokens=MTOK, output_tokens=MTOK, at=NOON)
        assert (price.provider, price.model_id) == (row.provider, row.model_id)
        assert price.total_usd == pytest.approx(row.input_usd_per_mtok + row.output_usd_per_mtok), (
            row.model_id
        )


def test_a_date_before_the_records_has_no_price_instead_of_the_oldest_one() -> None:
    # genai-prices itself says 0.50 for gpt-3.5-turbo in 2022, which is not what it cost.
    with pytest.raises(PriceError, match=r"gpt-3.5-turbo at openai: not known before 2023-03-01"):
        one_price("openai", "gpt-3.5-turbo", at=datetime(2022, 9, 1, tzinfo=UTC))
    # Flex and priority prices of it are known from 2026-10-12, batch from 2026-10-14: periods of their own.
    o3 = one_price("openai", "o3", at=datetime(2026, 1, 1, tzinfo=UTC))
    assert (o3.known_from, o3.known_until) == (date(2025, 6, 10), date(2026, 10, 12))


@pytest.mark.parametrize(
    ("provider", "model_id", "tokens", "part"),
    [
        ("groq", "llama-3.3-70b-versatil", (1, 0, 1), "did you mean llama-3.3-70b-versatile"),
        ("together", "gpt-oss-121b", (1, 0, 1), "did you mean openai/gpt-oss-120b"),
        ("nobody", "gpt-5", (1, 0, 1), "no model at nobody"),
        ("google", "gemma-3", (1, 0, 1), "no model at google"),
        ("openai", "gpt-5", (10, 11, 1), "11 cached tokens of a prompt of 10"),
        ("openai", "gpt-5", (-1, 0, 1), "cannot have -1 tokens"),
    ],
)
def test_a_call_that_cannot_be_priced_says_why(
    provider: str, model_id: str, tokens: tuple[int, int, int], part: str
) -> None:
    given, cached, taken = tokens
    with pytest.raises(PriceError) as caught:
        price_call(provider, model_id, input_tokens=given, cached_tokens=cached, output_tokens=taken, at=NOON)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_dated_name_is_priced_as_the_package_reads_it_and_says_so() -> None:
    price = price_call("anthropic", "claude-3-5-haiku-20241022", input_tokens=MTOK, output_tokens=0, at=NOON)
    assert (price.model_id, price.total_usd) == ("claude-3-5-haiku-latest", 0.8)
    assert "this is 'claude-3-5-haiku-latest'" in price.notes[0]


def test_the_reference_is_the_cheapest_of_each_group_and_never_free_or_deprecated() -> None:
    chosen = reference_prices(at=NOON)
    assert len(chosen) >= 15
    assert not any(price.is_free or price.is_deprecated for price in chosen)
    providers = {price.provider for price in chosen}
    assert {"openai", "google", "anthropic"} <= providers
    assert "openrouter" not in providers
    gpt_oss = next(price for price in chosen if "listed under 'gpt-oss-120b'" in price.note)
    named = {
        "together",
        "fireworks",
        "groq",
        "novita",
        "cerebras",
        "baseten",
        "ovhcloud",
        "cloudflare",
        "aws",
        "deepinfra",
        "nebius",
        "wandb",
    }
    rivals = [price for price in api_prices("gpt-oss-120b", at=NOON) if price.provider in named]
    assert gpt_oss.mixed_usd_per_mtok == min(price.mixed_usd_per_mtok for price in rivals)


def test_no_packaged_reference_has_vanished() -> None:
    assert vanished_references(at=NOON) == ()


def test_a_reference_that_vanished_is_told_and_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "reference_apis.csv").write_text(
        "id,group,kind,catalogue_id,provider,model_id,reason\n"
        "gone,Gone,closed,,openai,gpt-0,a test\n"
        "old,Old,open,llama-3.3-70b-instruct,cerebras,llama-3.3-70b,a test\n"
        "new,New,closed,,openai,gpt-5,a test\n",
        encoding="utf-8",
    )
    monkeypatch.setenv(USER_FOLDER_VARIABLE, str(tmp_path))
    gone, old = vanished_references(at=NOON)
    assert "gpt-0" in gone and "no longer in" in gone
    assert "cerebras" in old and "deprecated" in old
    notes = [price.note for price in reference_prices(at=NOON)]
    assert any("'New'" in note for note in notes)
    assert not any("'Gone'" in note or "'Old'" in note for note in notes)


def test_a_price_of_nothing_is_an_offer() -> None:
    price = api_prices("gpt-5", "openai", at=NOON)[0]
    free = ApiPrice(
        provider="x", model_id="y", model_name="y", schedule=flat(0.0, 1.0), context_tokens=None, note="", source="test", data_date=None,
        prices_checked=None, url=None,
    )  # fmt: skip
    assert free.is_free and not price.is_free


def test_every_open_reference_is_hosted_under_a_name_of_its_catalogue_entry() -> None:
    from planner.prices import names
    from profiles.loader import reference_api_rows

    entries = {entry["id"]: entry for entry in model_rows()}
    for row in reference_api_rows():
        if row["catalogue_id"] is None:
            continue
        entry = entries[row["catalogue_id"]]
        spellings = [entry["hub_id"], entry["name"], *entry["aliases"]]
        assert any(names.is_same(spelling, row["model_id"] or "") for spelling in spellings), row["id"]


def test_the_list_dates_itself() -> None:
    checked = genai_list.newest_check(genai_list.snapshot().providers)
    assert checked is not None
    assert date(2026, 10, 1) < checked <= date(2026, 11, 22)
