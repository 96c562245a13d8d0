"""`planner price history`."""

from pathlib import Path

import click

from planner import api
from planner.cli.options import format_option, mendable_errors
from planner.cli.price_options import day_of, price_file_option
from planner.cli.render import render
from planner.report.price_history_document import price_history_document


@click.command("history")
@click.argument("model")
@click.option("--provider", default=None, help="Only this provider, such as openai or groq.")
@price_file_option
@format_option
@mendable_errors
def command(model: str, provider: str | None, price_file: Path | None, output_format: str) -> None:
    """Show how the price of a model went at each provider, with days and sources.

    "by" before a day: the price held on that day; when it began is not recorded.

    \b
    Examples:
      planner price history o3
      planner price history text-davinci-002 --provider openai
    """
    found = api.price_history(model, provider=provider, price_file=price_file)
    render(price_history_document(found, day_of(None)), output_format)
