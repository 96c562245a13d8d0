"""Rows of litellm's price file as price lines. Only the file is read: importing litellm itself takes eleven seconds.

The file (`model_prices_and_context_window.json`, MIT) gives US dollars per token under names such as
`input_cost_per_token_above_200k_tokens_priority`. It keeps no history: each price is known from the file's own date.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import date, time
from decimal import Decimal
from typing import Any

from hardware.units import TOKENS_PER_MTOK
from planner.errors import PriceError
from planner.prices.line import Period, PriceLine
from planner.prices.tariff import EVERY_DAY, Processing, Schedule, Tariff, Tier, TokenRates, Window

# litellm's name of a provider, and the name that the price lists here use.
PROVIDERS: Mapping[str, str] = {
    "anthropic": "anthropic", "baseten": "baseten", "cerebras": "cerebras", "cloudflare": "cloudflare",
    "deepinfra": "deepinfra", "deepseek": "deepseek", "fireworks_ai": "fireworks", "gemini": "google", "groq": "groq",
    "hyperbolic": "hyperbolic", "lambda_ai": "lambda", "mistral": "mistral", "moonshot": "moonshotai", "nebius": "nebius",
    "novita": "novita", "nscale": "nscale", "openai": "openai", "ovhcloud": "ovhcloud", "sambanova": "sambanova",
    "scaleway": "scaleway", "together_ai": "together", "wandb": "wandb", "xai": "x-ai", "zai": "zai",
}  # fmt: skip
_MODES = ("chat", "completion", "responses")
_PROCESSINGS: Mapping[Processing, str] = {
    "standard": "", "batch": "_batches", "flex": "_flex", "priority": "_priority", "fast": "_ultrafast",
}  # fmt: skip
_KINDS = {
    "input_usd_per_mtok": "input_cost_per_token",
    "output_usd_per_mtok": "output_cost_per_token",
    "cache_read_usd_per_mtok": "cache_read_input_token_cost",
    "cache_write_usd_per_mtok": "cache_creation_input_token_cost",
    "thinking_usd_per_mtok": "output_cost_per_reasoning_token",
}
_ABOVE = re.compile(r"input_cost_per_token_above_(\d{1,4})k_tokens")
_HOURS = re.compile(r"(\d\d:\d\d)-(\d\d:\d\d)")
_LONGEST_TEXT = 200

Row = Mapping[str, Any]


def lines_of(rows: Mapping[str, Row], *, named: str, day: date) -> Iterator[PriceLine]:
    """The rows of known providers that have a price per input and output token, as of the day of the file.

    Of a row whose last day has passed, only that is kept.
    """
    for name, row in rows.items():
        provider = PROVIDERS.get(str(row.get("litellm_provider")))
        if provider is None or row.get("mode") not in _MODES or name.startswith("ft:"):
            continue
        schedule = schedule_of(row)
        if schedule is None or schedule.tariff.rates.is_offer:
            continue
        until = _day(row.get("deprecation_date"))
        model_id = model_id_of(name)
        if until is not None and until <= day:
            yield PriceLine(
                provider=provider,
                model_id=model_id,
                model_name=model_id,
                periods=(),
                context_tokens=None,
                source=named,
                data_date=day,
                url=_url(row.get("deprecation_source")),
                retired=until,
            )
            continue
        yield PriceLine(
            provider=provider,
            model_id=model_id,
            model_name=model_id,
            periods=(Period(since=day, until=until, schedule=schedule, is_start_known=False),),
            context_tokens=_count(row.get("max_input_tokens")),
            source=named,
            data_date=day,
            url=_url(row.get("source")),
        )


def model_id_of(name: str) -> str:
    """The provider's own id: without litellm's prefix, and for Fireworks without the folder of accounts."""
    head, slash, rest = name.partition("/")
    if slash and head in PROVIDERS:
        name = rest
    return re.sub(r"^accounts/[^/]+/(?:models|routers)/", "", name)


def schedule_of(row: Row) -> Schedule | None:
    """All that a row charges; None when it has no price per input and output token."""
    tariff = _tariff(row, "")
    if tariff is None:
        return None
    modes = tuple(
        (processing, found)
        for processing, suffix in _PROCESSINGS.items()
        if suffix and (found := _tariff(row, suffix)) is not None
    )
    return Schedule(tariff=tariff, windows=tuple(_windows(row, tariff)), modes=modes)


def _tariff(row: Row, suffix: str) -> Tariff | None:
    ranges = row.get("tiered_pricing")
    if ranges and not suffix:
        return _by_ranges(ranges)
    base = _rates(row, suffix)
    if base is None:
        return None
    starts = sorted(int(match[1]) for key in row if (match := _ABOVE.fullmatch(key)))
    tiers = []
    for thousands in starts:
        rates = _rates(row, f"_above_{thousands}k_tokens{suffix}", otherwise=base)
        if rates is not None:
            tiers.append(Tier(above_prompt_tokens=thousands * 1000, rates=rates))
    return Tariff(
        rates=base, tiers=tuple(tiers), usd_per_request=_usd(row.get("input_cost_per_request")) or 0.0
    )


def _rates(row: Row, suffix: str, otherwise: TokenRates | None = None) -> TokenRates | None:
    """Rates under names with a suffix. What a tier does not name stays as it was; a mode needs in and out of its own."""
    found = {kind: _per_mtok(row.get(f"{name}{suffix}")) for kind, name in _KINDS.items()}
    # 0 for writing to the cache says that nothing is added to the price of the prompt, not that it is free.
    found["cache_write_usd_per_mtok"] = found["cache_write_usd_per_mtok"] or None
    if otherwise is not None:
        found = {kind: getattr(otherwise, kind) if rate is None else rate for kind, rate in found.items()}
    given, taken = found.pop("input_usd_per_mtok"), found.pop("output_usd_per_mtok")
    if given is None or taken is None:
        return None
    return TokenRates(input_usd_per_mtok=given, output_usd_per_mtok=taken, **found)


def _by_ranges(ranges: list[Row]) -> Tariff | None:
    """Tiers as a list of ranges of prompt tokens, each with rates of its own."""
    steps = [(int(step["range"][0]), _rates(step, "")) for step in ranges if step.get("range")]
    steps.sort(key=lambda step: step[0])
    rates = [(start, found) for start, found in steps if found is not None]
    if not rates or rates[0][0] != 0:
        return None
    return Tariff(
        rates=rates[0][1],
        tiers=tuple(Tier(above_prompt_tokens=start, rates=found) for start, found in rates[1:]),
    )


def _windows(row: Row, peak: Tariff) -> Iterator[Window]:
    """Hours with a lower price. The row's own price is then that of the hours that are left."""
    cheaper = row.get("off_peak_pricing")
    if not cheaper:
        return
    rates = _rates(cheaper, "", otherwise=peak.rates)
    assert rates is not None  # a part of it comes from the peak
    for window in cheaper["windows"]:
        hours = window["hours_utc"]
        for text in [hours] if isinstance(hours, str) else hours:
            match = _HOURS.fullmatch(text)
            if match is None:
                raise PriceError(f"hours {text[:40]!r} are not HH:MM-HH:MM")
            yield Window(
                start=time.fromisoformat(match[1]),
                end=time.fromisoformat(match[2]),
                weekdays=tuple(window.get("weekdays") or EVERY_DAY),
                tariff=Tariff(rates=rates),
            )


def _per_mtok(usd_per_token: Any) -> float | None:
    """Dollars per million tokens, without the dust that floats leave: 3e-07 is 0.3."""
    exact = _decimal(usd_per_token)
    return None if exact is None else float(exact * TOKENS_PER_MTOK)


def _usd(value: Any) -> float | None:
    exact = _decimal(value)
    return None if exact is None else float(exact)


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return round(Decimal(repr(value)), 14).normalize()


def _count(value: Any) -> int | None:
    return (
        int(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None
    )


def _day(value: Any) -> date | None:
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        return None


def _url(value: Any) -> str | None:
    return value[:_LONGEST_TEXT] if isinstance(value, str) and value.startswith("https://") else None
