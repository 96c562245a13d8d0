"""`planner price update`."""

import click

from planner import api
from planner.cli.options import format_option, mendable_errors
from planner.cli.render import render
from planner.prices.feed import URL
from planner.report.price_update_document import price_update_document


@click.command("update")
@click.option(
    "--url", default=URL, help="Another place of the same list.  [default: genai-prices' repository]"
)
@click.option(
    "--accept-changes",
    is_flag=True,
    help="Take a list in which single prices moved by more than a factor of 30.",
)
@click.option("--dry-run", is_flag=True, help="Show what would change, keep nothing.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0.1, max=600),
    default=20.0,
    show_default=True,
    help="Seconds to wait for the server.",
)
@format_option
@mendable_errors
def command(url: str, accept_changes: bool, dry_run: bool, timeout_s: float, output_format: str) -> None:  # fmt: skip
    """Fetch the newest price list over the network, and keep it if it can be right.

    A list that is late, empty, cut short, too large, in another unit, or with a price that no token has, is named and
    not taken; the last good one stays in use. Nothing else of the planner fetches prices.

    \b
    Example:
      planner price update --dry-run
    """
    updated = api.update_prices(url, accept_changes=accept_changes, dry_run=dry_run, timeout_s=timeout_s)
    render(price_update_document(updated), output_format)
