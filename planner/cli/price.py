"""`planner price`."""

import click

from planner import api
from planner.cli.options import format_option, mendable_errors
from planner.cli.render import render
from planner.report.price_document import price_document


@click.command("price")
@click.argument("model", required=False)
@click.option("--provider", default=None, help="Only this provider, such as openai or groq.")
@format_option
@mendable_errors
def command(model: str | None, provider: str | None, output_format: str) -> None:
    """Show what API tokens cost, with source and date; without MODEL, the reference prices.

    \b
    Examples:
      planner price gpt-oss-120b
      planner price --provider groq --format csv
    """
    render(price_document(api.prices(model, provider=provider), model or provider), output_format)
