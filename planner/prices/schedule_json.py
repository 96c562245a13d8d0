"""A schedule as plain data for JSON, and back: a report that keeps it can charge by it again."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import time
from typing import Any

from planner.errors import PriceError
from planner.prices.tariff import (
    EVERY_DAY,
    PROCESSINGS,
    Processing,
    Schedule,
    Tariff,
    Tier,
    TokenRates,
    Window,
)

Data = dict[str, Any]


def schedule_data(schedule: Schedule) -> Data:
    """All of a schedule; what is unknown or empty is left out."""
    return {
        **_tariff_data(schedule.tariff),
        **(
            {
                "windows": [
                    {
                        "start_utc": f"{window.start:%H:%M}",
                        "end_utc": f"{window.end:%H:%M}",
                        "weekdays": list(window.weekdays),
                        **_tariff_data(window.tariff),
                    }
                    for window in schedule.windows
                ]
            }
            if schedule.windows
            else {}
        ),
        **(
            {"modes": {processing: _tariff_data(tariff) for processing, tariff in schedule.modes}}
            if schedule.modes
            else {}
        ),
    }


def schedule_of(data: Any) -> Schedule:
    """The schedule that `schedule_data` wrote; PriceError for anything else."""
    try:
        windows = tuple(
            Window(
                start=time.fromisoformat(window["start_utc"]),
                end=time.fromisoformat(window["end_utc"]),
                weekdays=tuple(window.get("weekdays", EVERY_DAY)),
                tariff=_tariff_of(window),
            )
            for window in data.get("windows", ())
        )
        modes = tuple((_processing(name), _tariff_of(mode)) for name, mode in data.get("modes", {}).items())
        return Schedule(tariff=_tariff_of(data), windows=windows, modes=modes)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PriceError(f"not a price schedule: {type(error).__name__} {error}") from error


def _tariff_data(tariff: Tariff) -> Data:
    data = _rates_data(tariff.rates)
    if tariff.tiers:
        data["tiers"] = [
            {"above_prompt_tokens": tier.above_prompt_tokens, **_rates_data(tier.rates)}
            for tier in tariff.tiers
        ]
    if tariff.usd_per_request:
        data["usd_per_request"] = tariff.usd_per_request
    return data


def _rates_data(rates: TokenRates) -> Data:
    return {name: rate for name, rate in asdict(rates).items() if rate is not None}


def _tariff_of(data: Mapping[str, Any]) -> Tariff:
    return Tariff(
        rates=_rates_of(data),
        tiers=tuple(
            Tier(above_prompt_tokens=int(tier["above_prompt_tokens"]), rates=_rates_of(tier))
            for tier in data.get("tiers", ())
        ),
        usd_per_request=float(data.get("usd_per_request", 0.0)),
    )


def _rates_of(data: Mapping[str, Any]) -> TokenRates:
    names = TokenRates.__dataclass_fields__
    return TokenRates(**{name: float(data[name]) for name in names if data.get(name) is not None})


def _processing(name: str) -> Processing:
    if name not in PROCESSINGS[1:]:
        raise ValueError(f"{name[:40]!r} is no way of processing; known: {', '.join(PROCESSINGS[1:])}")
    return name
