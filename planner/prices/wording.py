"""A schedule in words: what is charged besides the price of a short prompt in the usual hours."""

from collections.abc import Iterator

from planner.prices.tariff import Schedule, Tariff


def remarks(schedule: Schedule) -> Iterator[str]:
    """One remark for each hour, length and way of processing with a price of its own."""
    yield from _by_hour(schedule)
    yield from _by_length(schedule.usual)
    for processing, tariff in schedule.modes:
        yield f"{processing}: {tariff.rates}"
    if schedule.usual.usd_per_request:
        yield f"and {schedule.usual.usd_per_request * 1000:g} per 1,000 requests"
    rates = schedule.usual.rates
    if rates.thinking_usd_per_mtok is not None:
        yield f"thinking: {rates.thinking_usd_per_mtok:g} out"
    if rates.is_offer:
        yield "priced at 0: an offer, not a market price"


def _by_hour(schedule: Schedule) -> Iterator[str]:
    if not schedule.windows:
        return
    usual = schedule.usual
    shown = [str(window) for window in schedule.windows if window.tariff == usual]
    if schedule.tariff != usual:
        yield f"as shown {', '.join(shown)}"
    for window in schedule.windows:
        if window.tariff != usual:
            yield f"{window}: {window.tariff.rates}"
    if schedule.tariff != usual:
        yield f"other hours: {schedule.tariff.rates}"


def _by_length(tariff: Tariff) -> Iterator[str]:
    for tier in tariff.tiers:
        yield f"prompt over {tier.above_prompt_tokens:,} tokens: {tier.rates}"
