"""Rows in litellm's format, with its odd corners; figures are invented unless said."""

import json
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from planner.errors import PriceError
from planner.prices.hosted_extract import extract
from planner.prices.hosted_list import hosted_lines
from planner.prices.line import PriceLine
from planner.prices.litellm_rows import lines_of, model_id_of, schedule_of

DAY = date(2026, 11, 20)
PLAIN = {"litellm_provider": "deepinfra", "mode": "chat", "input_cost_per_token": 2.3e-07, "output_cost_per_token": 4e-07}  # fmt: skip


def test_dollars_per_token_become_dollars_per_million_without_dust() -> None:
    schedule = schedule_of(PLAIN)
    assert schedule is not None
    assert (
        schedule.tariff.rates.input_usd_per_mtok == 0.23 and schedule.tariff.rates.output_usd_per_mtok == 0.4
    )


def test_writing_to_the_cache_for_0_is_not_free_but_charged_as_fresh_input() -> None:
    # DeepSeek's rows say 0: what is written is billed as a prompt token that missed the cache.
    schedule = schedule_of(
        {**PLAIN, "cache_creation_input_token_cost": 0.0, "cache_read_input_token_cost": 3e-09}
    )
    assert schedule is not None
    assert schedule.tariff.rates.cache_write_usd_per_mtok is None
    assert schedule.tariff.rates.cache_read_usd_per_mtok == 0.003


def test_tiers_and_ways_of_processing_are_read_from_the_names() -> None:
    schedule = schedule_of({
        **PLAIN, "cache_read_input_token_cost": 1e-07,
        "input_cost_per_token_above_200k_tokens": 5e-07, "output_cost_per_token_above_200k_tokens": 9e-07,
        "input_cost_per_token_batches": 1e-07, "output_cost_per_token_batches": 2e-07,
        "input_cost_per_token_priority": 4e-07,  # without an output price: not a mode
    })  # fmt: skip
    assert schedule is not None
    (tier,) = schedule.tariff.tiers
    assert tier.above_prompt_tokens == 200_000
    assert (tier.rates.input_usd_per_mtok, tier.rates.cache_read_usd_per_mtok) == (
        0.5,
        0.1,
    )  # not named: as before
    assert schedule.processings == ("standard", "batch")


def test_tiers_as_ranges() -> None:
    step = {"input_cost_per_token": 1.2e-06, "output_cost_per_token": 6e-06, "range": [0, 32000.0]}
    dear = {"input_cost_per_token": 2.4e-06, "output_cost_per_token": 1.2e-05, "range": [32000.0, 128000.0]}
    schedule = schedule_of({"tiered_pricing": [dear, step]})
    assert schedule is not None and schedule.tariff.rates.input_usd_per_mtok == 1.2
    assert [tier.above_prompt_tokens for tier in schedule.tariff.tiers] == [32_000]
    assert schedule_of({"tiered_pricing": [dear]}) is None  # nothing for short prompts


OFF_PEAK: dict[str, Any] = {
    **PLAIN,
    "off_peak_pricing": {
        "input_cost_per_token": 1e-07,
        "windows": [
            {"hours_utc": ["00:00-01:00", "10:00-00:00"], "weekdays": [1, 2, 3, 4, 5]},
            {"hours_utc": "00:00-00:00", "weekdays": [6, 7]},
        ],
    },
}


@pytest.mark.parametrize(
    ("moment", "usd"),
    [
        (datetime(2026, 11, 20, 5, tzinfo=UTC), 0.23),
        (datetime(2026, 11, 20, 10, tzinfo=UTC), 0.1),
        (datetime(2026, 11, 20, 0, 59, tzinfo=UTC), 0.1),
        (datetime(2026, 11, 21, 5, tzinfo=UTC), 0.1),
        (datetime(2026, 11, 23, 1, tzinfo=UTC), 0.23),
    ],
)
def test_hours_with_weekdays(moment: datetime, usd: float) -> None:
    schedule = schedule_of(OFF_PEAK)
    assert schedule is not None
    rates = schedule.at(moment).rates
    assert rates.input_usd_per_mtok == usd
    assert rates.output_usd_per_mtok == 0.4  # not named off-peak: as at the peak


def test_hours_that_are_none_are_refused() -> None:
    broken = {**PLAIN, "off_peak_pricing": {"windows": [{"hours_utc": "night"}]}}
    with pytest.raises(PriceError, match="not HH:MM"):
        schedule_of(broken)


def test_only_rows_that_sell_text_for_tokens_at_known_hosts_are_taken() -> None:
    rows: dict[str, dict[str, Any]] = {
        "deepinfra/org/Model": {**PLAIN, "max_input_tokens": 131072, "source": "javascript:alert(1)"},
        "deepinfra/free": {**PLAIN, "input_cost_per_token": 0.0, "output_cost_per_token": 0.0},
        "deepinfra/embed": {**PLAIN, "mode": "embedding"},
        "deepinfra/half": {"litellm_provider": "deepinfra", "mode": "chat", "input_cost_per_token": 1e-07},
        "deepinfra/gone": {**PLAIN, "deprecation_date": "2026-11-01"},
        "deepinfra/going": {**PLAIN, "deprecation_date": "2026-12-01"},
        "ft:gpt": {**PLAIN, "litellm_provider": "openai"},
        "somewhere/else": {**PLAIN, "litellm_provider": "somewhere"},
        "sample_spec": {"litellm_provider": "one of …", "mode": "one of …"},
    }
    lines = {line.model_id: line for line in lines_of(rows, named="litellm", day=DAY)}
    assert set(lines) == {"org/Model", "going", "gone"}
    assert lines["gone"].periods == () and lines["gone"].retired == date(2026, 11, 1)
    assert lines["org/Model"].context_tokens == 131072 and lines["org/Model"].url is None
    assert lines["org/Model"].known_from == DAY
    assert lines["going"].periods[0].until == date(2026, 12, 1)


@pytest.mark.parametrize(
    ("name", "model_id"),
    [
        ("deepinfra/meta-llama/Llama-3.3-70B-Instruct", "meta-llama/Llama-3.3-70B-Instruct"),
        ("fireworks_ai/accounts/fireworks/models/glm-5p2", "glm-5p2"),
        ("gpt-5", "gpt-5"),
        ("cloudflare/@cf/meta/llama", "@cf/meta/llama"),
    ],
)
def test_ids_are_the_providers_own(name: str, model_id: str) -> None:
    assert model_id_of(name) == model_id


def wheel(folder: Path, version: str, rows: dict[str, Any]) -> Path:
    path = folder / f"litellm-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("litellm/model_prices_and_context_window_backup.json", json.dumps(rows))
    return path


def read_back(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, PriceLine]:
    monkeypatch.setenv("PLANNER_PROFILES_DIR", str(folder))
    (folder / "hosted_prices.json").write_text(text, encoding="utf-8")
    hosted_lines.cache_clear()
    try:
        return {line.model_id: line for line in hosted_lines()}
    finally:
        hosted_lines.cache_clear()


def test_an_extract_of_a_wheel_reads_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = extract({DAY: wheel(tmp_path, "9.9.9", {"deepinfra/a/B": OFF_PEAK})})
    line = read_back(tmp_path, text, monkeypatch)["a/B"]
    assert (line.provider, line.source, line.known_from) == ("deepinfra", "litellm 9.9.9", DAY)
    assert line.periods[0].schedule == schedule_of(OFF_PEAK)
    with pytest.raises(PriceError, match="not an extract of prices"):
        read_back(tmp_path, '{"source": "x", "lines": []}', monkeypatch)


def test_a_price_counts_between_two_days_on_which_it_was_seen_and_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [date(2026, 1, 1), date(2026, 4, 1), date(2026, 7, 1), date(2026, 10, 1)]
    dear = {**PLAIN, "input_cost_per_token": 9e-07}
    rows: list[dict[str, Any]] = [
        {"deepinfra/same": PLAIN, "deepinfra/moved": PLAIN, "deepinfra/gap": PLAIN, "deepinfra/gone": PLAIN},
        {"deepinfra/same": PLAIN, "deepinfra/moved": PLAIN},
        {"deepinfra/same": PLAIN, "deepinfra/moved": dear, "deepinfra/gap": PLAIN},
        {"deepinfra/same": PLAIN, "deepinfra/moved": dear, "deepinfra/gap": PLAIN,
         "deepinfra/gone": {**PLAIN, "deprecation_date": "2026-03-01"}},
    ]  # fmt: skip
    wheels = {
        day: wheel(tmp_path, f"1.{i}.0", of_day)
        for i, (day, of_day) in enumerate(zip(days, rows, strict=True))
    }
    lines = read_back(tmp_path, extract(wheels), monkeypatch)

    def spans(name: str) -> list[tuple[date, date | None]]:
        return [(period.since, period.until) for period in lines[name].periods]

    assert spans("same") == [(days[0], None)]
    # Moved at some day between April and July: neither price counts there.
    assert spans("moved") == [(days[0], date(2026, 4, 2)), (days[2], None)]
    assert spans("gap") == [(days[0], date(2026, 1, 2)), (days[2], None)]
    assert spans("gone") == [(days[0], date(2026, 1, 2))] and lines["gone"].retired == date(2026, 3, 1)
