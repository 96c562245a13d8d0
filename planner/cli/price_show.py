"""`planner price show`."""

from datetime import datetime
from pathlib import Path

import click

from planner import api
from planner.cli.options import format_option, mendable_errors
from planner.cli.price_options import at_option, currency_option, day_of, money_of, price_file_option
from planner.cli.render import render
from planner.report.price_document import price_document


@click.command("show")
@click.argument("model", required=False)
@click.option("--provider", default=None, help="Only this provider, such as openai or groq.")
@at_option
@price_file_option
@currency_option
@format_option
@mendable_errors
def command(
    model: str | None, provider: str | None, at: datetime | None, price_file: Path | None, currency: str,
    output_format: str,
) -> None:  # fmt: skip
    """Show what a model costs at every host that sells it; without MODEL, the reference prices.

    \b
    Examples:
      planner price gpt-oss-120b
      planner price show --provider groq --format csv
      planner price o3 --at 2025-05-01
    """
    money = money_of(currency, day_of(at))
    found = api.prices(model, provider=provider, at=at, price_file=price_file)
    render(price_document(found, model or provider, money), output_format)
