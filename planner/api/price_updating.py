"""Fetching the newest price list, and what it changes."""

from datetime import UTC, date, datetime

from hardware.units import MIB
from planner.prices import kept_feed
from planner.prices.book import forget_prices
from planner.prices.feed import URL, check_feed, parse_feed
from planner.prices.price_changes import UpdatedPrices, changed_prices
from planner.readers.web.url_source import fetch_url

_MAX_FEED_BYTES = 7 * MIB  # the list has 0.4 MiB; what is kept of it must be readable as a profile again


def update_prices(
    url: str = URL,
    *,
    accept_changes: bool = False,
    dry_run: bool = False,
    timeout_s: float = 20.0,
    today: date | None = None,
) -> UpdatedPrices:
    """Fetches a list and keeps it in the place of the last one; raises and keeps that one if it cannot be right."""
    data = fetch_url(url, max_bytes=_MAX_FEED_BYTES, timeout_s=timeout_s)
    feed = parse_feed(data, url=url, fetched=today or datetime.now(tz=UTC).date())
    last = kept_feed.list_in_use()
    check_feed(feed, last, accept_changes=accept_changes)
    kept_in = None if dry_run else kept_feed.keep(feed)
    if kept_in is not None:
        forget_prices()
    return UpdatedPrices(
        url=url,
        source=feed.lines[0].source,
        data_date=feed.data_date,
        n_prices=len(feed.lines),
        changes=changed_prices(last, feed.lines),
        kept_in=kept_in,
    )
