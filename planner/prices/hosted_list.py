"""The packaged extract of litellm's price file as price lines: hosts of open weights that genai-prices lacks."""

from collections.abc import Mapping
from datetime import date
from functools import cache
from typing import Any

from planner.errors import PriceError
from planner.prices.line import Period, PriceLine
from planner.prices.schedule_json import schedule_of
from profiles.loader import hosted_prices


@cache
def hosted_lines() -> tuple[PriceLine, ...]:
    """Every row of the extract; a price is known on the days on which it was seen, and between two of them."""
    content = hosted_prices()
    try:
        named, day = str(content["source"]), date.fromisoformat(content["as_of"])
        return tuple(_line(row, named, day) for row in content["lines"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PriceError(
            f"hosted_prices.json is not an extract of prices: {type(error).__name__} {error}; "
            "write it again with python -m planner.prices.hosted_extract"
        ) from error


def _line(row: Mapping[str, Any], named: str, day: date) -> PriceLine:
    periods = tuple(
        Period(
            since=date.fromisoformat(period["since"]),
            until=date.fromisoformat(period["until"]) if "until" in period else None,
            schedule=schedule_of(period["schedule"]),
            is_start_known=False,
        )
        for period in row.get("periods", ())
    )
    return PriceLine(
        provider=row["provider"],
        model_id=row["model_id"],
        model_name=row["model_id"],
        periods=periods,
        context_tokens=row.get("context_tokens"),
        source=named,
        data_date=day,
        url=row.get("url"),
        retired=date.fromisoformat(row["retired"]) if "retired" in row else None,
    )
