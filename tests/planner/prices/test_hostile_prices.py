"""Schedules, lists and files of prices made of anything: read, or refused in one line."""

import json
from datetime import date
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner.errors import PriceError
from planner.prices.feed import parse_feed
from planner.prices.price_rows import lines_of
from planner.prices.schedule_json import schedule_of
from profiles.errors import ProfileError
from profiles.price_files import read_price_file

KEYS = (
    "start_utc", "end_utc", "weekdays", "windows", "modes", "tiers", "above_prompt_tokens", "input_usd_per_mtok",
    "output_usd_per_mtok", "batch", "usd_per_request", "provider", "model_id", "input_per_mtok", "output_per_mtok",
    "since", "until", "schedule", "currency", "prices", "context_tokens", "withdrawn", "id", "name", "api_pattern",
    "models", "input_mtok", "output_mtok", "base", "start", "price", "price_variants", "when", "constraint",
    "start_date", "start_time", "end_time", "price_comments", "pricing_urls", "context_window", "deprecated",
)  # fmt: skip
WORDS = (
    "12:00",
    "25:61",
    "2026-01-01",
    "0001-01-01",
    "9999-12-31",
    "checked on 9999-99-99",
    "batch",
    "=cmd()",
    "1e400",
)
days = st.sampled_from([None, "2026-01-01", "2026-02-01", "0001-01-01"])
leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(WORDS)
)
anything = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=20,
)
price = st.fixed_dictionaries({"input_mtok": leaves, "output_mtok": leaves})
dated = st.lists(
    st.fixed_dictionaries(
        {"prices": price},
        optional={
            "constraint": anything
            | st.fixed_dictionaries({"start_date": st.sampled_from(WORDS)})
            | st.fixed_dictionaries(
                {"start_time": st.sampled_from(WORDS), "end_time": st.sampled_from(WORDS)}
            )
        },
    ),
    max_size=3,
)
models = st.fixed_dictionaries(
    {"id": st.text(max_size=5), "prices": anything | price | dated},
    optional={"price_variants": anything, "price_comments": leaves},
)
providers = st.fixed_dictionaries(
    {"id": st.text(max_size=5), "name": st.text(max_size=5), "api_pattern": st.just("x"),
     "models": st.lists(models, max_size=3)},
    optional={"price_comments": leaves, "pricing_urls": anything},
)  # fmt: skip
rows = st.fixed_dictionaries(
    {"provider": st.text(max_size=5), "model_id": st.text(max_size=4), "input_per_mtok": leaves,
     "output_per_mtok": leaves},
    optional={"currency": st.sampled_from(["EUR", "USD", "XX", None]), "since": days, "until": days,
              "withdrawn": leaves, "context_tokens": leaves, "usd_per_request": leaves, "schedule": anything},
)  # fmt: skip


@given(anything)
@settings(max_examples=500)
def test_a_schedule_of_anything(content: object) -> None:
    try:
        schedule_of(content)
    except PriceError as error:
        assert "\n" not in str(error)


@given(anything | st.lists(providers, max_size=2))
@settings(max_examples=500)
def test_a_list_of_anything(content: object) -> None:
    try:
        parse_feed(json.dumps(content).encode(), url="https://example.org/x", fetched=date(2026, 1, 1))
    except PriceError as error:
        assert "\n" not in str(error) and len(str(error)) < 1_000


@given(anything | st.lists(rows, min_size=1, max_size=3))
@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_of_anything(tmp_path: Path, content: object) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    try:
        lines_of(read_price_file(path), named="p.json", today=date(2026, 3, 1))
    except (PriceError, ProfileError) as error:
        assert "\n" not in str(error)


@given(
    st.text(max_size=200)
    | st.lists(st.sampled_from([*KEYS, *WORDS, ",", "\n", '"', "1"]), max_size=30).map("".join)
)
@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_table_of_anything(tmp_path: Path, text: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text(text, encoding="utf-8", newline="")
    try:
        lines_of(read_price_file(path), named="p.csv", today=date(2026, 3, 1))
    except (PriceError, ProfileError) as error:
        assert len(str(error)) < 2_000
