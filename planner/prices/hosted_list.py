"""The packaged extract of litellm's price file as price lines: hosts of open weights that genai-prices lacks."""

from datetime import date
from functools import cache

from planner.errors import PriceError
from planner.prices.line import Period, PriceLine
from planner.prices.schedule_json import schedule_of
from profiles.loader import hosted_prices


@cache
def hosted_lines() -> tuple[PriceLine, ...]:
    """Every row of the extract; each price is known from the day of the file."""
    content = hosted_prices()
    try:
        named, day = str(content["source"]), date.fromisoformat(content["as_of"])
        return tuple(
            PriceLine(
                provider=row["provider"],
                model_id=row["model_id"],
                model_name=row["model_id"],
                periods=(
                    Period(
                        since=day,
                        until=date.fromisoformat(row["until"]) if "until" in row else None,
                        schedule=schedule_of(row["schedule"]),
                        is_start_known=False,
                    ),
                ),
                context_tokens=row.get("context_tokens"),
                source=named,
                data_date=day,
                url=row.get("url"),
            )
            for row in content["lines"]
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PriceError(
            f"hosted_prices.json is not an extract of prices: {type(error).__name__} {error}; "
            "write it again with python -m planner.prices.hosted_extract"
        ) from error
