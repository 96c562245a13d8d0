"""Several sources for one price: which one counts, and where they differ."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path

import pytest

from planner.errors import PriceError
from planner.prices import book as books
from planner.prices.api import api_prices, one_price, same_model_prices
from planner.prices.book import PriceBook, ReadWhenAsked, default_book, forget_prices
from planner.prices.line import Period, PriceLine
from planner.prices.tariff import Schedule, Window, flat
from profiles.errors import ProfileError
from profiles.loader import USER_FOLDER_VARIABLE

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = NOON.date()


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    forget_prices()
    yield
    forget_prices()


def line(
    source: str, schedule: Schedule, since: date = date(2026, 1, 1), until: date | None = None,
    withdrawn: date | None = None,
) -> PriceLine:  # fmt: skip
    period = Period(since=since, until=until, schedule=schedule)
    return PriceLine(
        provider="host", model_id="Some-Model", model_name="Some Model", periods=(period,), context_tokens=None,
        source=source, data_date=None, withdrawn=withdrawn,
    )  # fmt: skip


def book(*lines: PriceLine) -> PriceBook:
    return PriceBook(tuple(ReadWhenAsked(lambda one=one: (one,)) for one in lines))  # type: ignore[misc]


def test_the_first_source_counts_and_the_others_are_shown_where_they_differ_by_more_than_2_percent() -> None:
    close = book(line("first", flat(1.0, 2.0, 0.1)), line("second", flat(1.02, 1.97, 0.1)))
    (price,) = close.prices_on(DAY)
    assert price.source == "first" and price.rivals == () and price.note == ""
    apart = book(line("first", flat(1.0, 2.0)), line("second", flat(1.0, 2.05)))
    (price,) = apart.prices_on(DAY)
    assert [rival.source for rival in price.rivals] == ["second"]
    assert price.note == "second says 1 in, 2.05 out"
    cached = book(line("first", flat(1.0, 2.0, 0.1)), line("second", flat(1.0, 2.0, 0.2)))
    assert cached.prices_on(DAY)[0].note == "second says 1 in, 2 out, 0.2 cached"


def test_a_cached_price_that_only_one_source_knows_is_no_difference() -> None:
    (price,) = book(line("first", flat(1.0, 2.0)), line("second", flat(1.0, 2.0, 0.1))).prices_on(DAY)
    assert price.rivals == ()


def test_days_that_the_first_source_does_not_know_are_the_next_ones() -> None:
    both = book(
        line("new", flat(1.0, 2.0), since=date(2026, 6, 1)),
        line("old", flat(9.0, 9.0), until=date(2026, 5, 1)),
    )
    assert both.prices_on(date(2026, 7, 1))[0].source == "new"
    assert both.prices_on(date(2026, 2, 1))[0].source == "old"
    assert both.prices_on(date(2026, 5, 15)) == ()
    with pytest.raises(
        PriceError, match=r"since 2026-05-01 \(old\).*the next known price is of 2026-06-01 \(new\)"
    ):
        both.price_on(("host", "some-model"), date(2026, 5, 15))
    with pytest.raises(PriceError, match=r"not known before 2026-01-01 \(old\)"):
        both.price_on(("host", "some-model"), date(2025, 5, 15))


def test_what_one_source_says_is_withdrawn_no_other_sells() -> None:
    gone = line("past", flat(9.0, 9.0), until=date(2026, 5, 1), withdrawn=date(2026, 5, 1))
    both = book(line("list", flat(1.0, 2.0), since=date(2026, 6, 1)), gone)
    assert both.prices_on(DAY) == ()
    with pytest.raises(PriceError, match=r"not sold any more since 2026-05-01 \(past\)"):
        both.price_on(("host", "some-model"), DAY)


def test_what_a_list_says_is_retired_is_priced_by_the_others_and_marked() -> None:
    gone = PriceLine(
        provider="host", model_id="some-model", model_name="", periods=(), context_tokens=None, source="other",
        data_date=None, retired=date(2026, 10, 1),
    )  # fmt: skip
    both = book(line("list", flat(1.0, 2.0)), gone)
    (after,) = both.prices_on(DAY)
    assert after.is_deprecated and after.note == "withdrawn since 2026-10-01, says other"
    (before,) = both.prices_on(date(2026, 9, 30))
    assert not before.is_deprecated and before.note == ""
    assert book(gone).prices_on(DAY) == () and not book(gone).by_model()


def test_hosts_that_have_withdrawn_a_model_are_not_compared() -> None:
    # Together withdrew Llama 3.3 70B Turbo on 2026-10-22 by its own page of deprecations; genai-prices still lists it.
    price = one_price("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo", at=NOON)
    assert price.is_deprecated and "withdrawn since 2026-10-22, says litellm" in price.note
    hosts = same_model_prices("meta-llama/Llama-3.3-70B-Instruct", most=None, at=NOON)
    assert ("together", price.model_id) not in {(host.provider, host.model_id) for host in hosts}


def windows(weekdays: tuple[int, ...] | None, dear: float = 2.0) -> Schedule:
    days = {} if weekdays is None else {"weekdays": weekdays}
    window = Window(start=time(1), end=time(4), tariff=flat(dear, dear).tariff, **days)
    return Schedule(tariff=flat(1.0, 1.0).tariff, windows=(window,))


def test_weekdays_come_from_the_source_that_has_them_when_the_prices_are_the_same() -> None:
    (price,) = book(line("list", windows(None)), line("other", windows((1, 2, 3, 4, 5)))).prices_on(DAY)
    assert price.source == "list" and "weekdays from other" in price.note
    saturday = datetime(2026, 11, 21, 2, tzinfo=UTC)
    assert price.schedule.at(saturday).rates.input_usd_per_mtok == 1.0
    assert price.schedule.at(NOON.replace(hour=2)).rates.input_usd_per_mtok == 2.0
    # Other prices by the hour are another tariff: nothing is taken over.
    (price,) = book(line("list", windows(None)), line("other", windows((1, 2), dear=3.0))).prices_on(DAY)
    assert price.schedule.at(saturday).rates.input_usd_per_mtok == 2.0


def test_the_users_own_file_is_above_all_and_a_named_one_above_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(USER_FOLDER_VARIABLE, str(tmp_path))
    header = "provider,model_id,input_per_mtok,output_per_mtok,cached_input_per_mtok,batch_input_per_mtok,batch_output_per_mtok,since,note\n"  # fmt: skip
    (tmp_path / "api_prices.csv").write_text(
        header + "groq,openai/gpt-oss-120b,0.11,0.44,0.05,0.05,0.2,2026-01-01,our contract\n",
        encoding="utf-8",
    )
    price = one_price("groq", "openai/gpt-oss-120b", at=NOON)
    assert (price.input_usd_per_mtok, price.output_usd_per_mtok, price.source) == (
        0.11,
        0.44,
        "your api_prices.csv",
    )
    assert price.schedule.processings == ("standard", "batch")
    assert "our contract" in price.note and "genai-prices 0.2.3 says 0.15 in, 0.6 out" in price.note

    named = tmp_path / "quote.json"
    named.write_text(
        '{"prices": [{"provider": "groq", "model_id": "openai/gpt-oss-120b", "since": "2026-11-01", "schedule":'
        '{"input_usd_per_mtok": 0.09, "output_usd_per_mtok": 0.3, "tiers": [{"above_prompt_tokens": 100000,'
        '"input_usd_per_mtok": 0.18, "output_usd_per_mtok": 0.6}]}}]}',
        encoding="utf-8",
    )
    price = one_price("groq", "openai/gpt-oss-120b", at=NOON, book=default_book(named))
    assert price.input_usd_per_mtok == 0.09 and len(price.schedule.tariff.tiers) == 1
    earlier = one_price(
        "groq", "openai/gpt-oss-120b", at=datetime(2026, 10, 1, tzinfo=UTC), book=default_book(named)
    )
    assert earlier.input_usd_per_mtok == 0.11  # before the quote, the file of the folder


def test_a_price_in_another_currency_is_turned_into_dollars_at_the_rate_of_its_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(USER_FOLDER_VARIABLE, str(tmp_path))
    (tmp_path / "api_prices.csv").write_text(
        "provider,model_id,input_per_mtok,output_per_mtok,currency,since\nours,model,1.00,2.00,EUR,2026-11-01\n",
        encoding="utf-8",
    )
    price = one_price("ours", "model", at=NOON)
    assert price.input_usd_per_mtok == pytest.approx(1.1172)  # one euro on 2026-10-30
    assert price.output_usd_per_mtok == pytest.approx(2.2344)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("provider,model_id,input_per_mtok,output_per_mtok\nx,y,1\n", "line 2: found more or fewer cells"),
        ("provider,model_id,input_per_mtok,output_per_mtok\nx,y,-1,1\n", "field 'input_per_mtok'"),
        ("provider,model_id,input_per_mtok,output_per_mtok\nx,y,nan,1\n", "field 'input_per_mtok'"),
        ("provider,model_id,input_per_mtok,output_per_mtok\nx,y,1e9,1\n", "field 'input_per_mtok'"),
        ("provider,model_id,input_per_mtok\nx,y,1\n", "field 'output_per_mtok'"),
        ("provider,model_id,input_usd_per_token,output_per_mtok\nx,y,1,1\n", "field 'input_usd_per_token'"),
        ("provider,model_id,input_per_mtok,output_per_mtok,since,until\nx,y,1,1,2026-02-01,2026-01-01\n", "a day after"),
        ("provider,model_id,input_per_mtok,output_per_mtok,since\nx,y,1,1,2026\n", "a day such as"),
        ("", "holds no prices"),
        ('a,"b\n', "not readable as CSV"),
    ],
)  # fmt: skip
def test_a_price_file_that_cannot_be_right_is_refused_with_its_row(
    tmp_path: Path, text: str, part: str
) -> None:
    path = tmp_path / "p.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ProfileError) as caught:
        default_book(path).prices_on(DAY)
    assert part in str(caught.value) and "p.csv" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "{", "[1]", '{"prices": {}}', "[]", "[[[[", '[{"provider": "x"}]',
        '[{"provider": "x", "model_id": "y", "input_per_mtok": [1], "output_per_mtok": 1}]',
        '[{"provider": "x", "model_id": "y", "schedule": {"input_usd_per_mtok": 1}}]',
        '[{"provider": "x", "model_id": "y", "input_per_mtok": 1, "schedule": {}}]',
        '[{"provider": "x", "model_id": "y", "input_per_mtok": 1e400, "output_per_mtok": 1}]',
    ],
)  # fmt: skip
def test_a_json_price_file_that_cannot_be_right_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises((ProfileError, PriceError)) as caught:
        default_book(path).prices_on(DAY)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 800


def test_two_prices_of_one_model_need_days(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("provider,model_id,input_per_mtok,output_per_mtok\nx,y,1,1\nx,Y,2,2\n", encoding="utf-8")
    with pytest.raises(PriceError, match="each needs a day"):
        default_book(path).prices_on(DAY)


def test_open_weights_are_found_at_hosts_of_every_source() -> None:
    hosts = {
        price.provider for price in same_model_prices("meta-llama/Llama-3.3-70B-Instruct", most=None, at=NOON)
    }
    assert {"deepinfra", "nebius", "novita", "hyperbolic", "scaleway"} <= hosts
    providers = {price.provider for price in api_prices(at=NOON)}
    assert {"deepinfra", "lambda", "nscale", "scaleway", "wandb", "sambanova"} <= providers


def test_packaged_sources_differ_where_their_providers_pages_were_read_at_other_times() -> None:
    price = one_price("ovhcloud", "gpt-oss-120b", at=NOON)
    # Euros: one list converts them at another rate. 0.09 and 0.08 lie 12 % apart.
    assert [rival.input_usd_per_mtok for rival in price.rivals] == [0.08]
    assert "litellm 1.110.2 says 0.08 in, 0.4 out" in price.note
    listed = books.default_book().prices_on(DAY)
    assert 5 < sum(1 for one in listed if one.rivals) < 100
