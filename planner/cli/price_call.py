"""`planner price call`."""

from datetime import datetime
from pathlib import Path
from typing import get_args

import click

from planner import api
from planner.cli.options import TOKENS, format_option, mendable_errors
from planner.cli.price_options import at_option, currency_option, day_of, money_of, price_file_option
from planner.cli.render import render
from planner.prices.call import CallTokens
from planner.prices.tariff import Processing
from planner.report.price_call_document import price_call_document


@click.command("call")
@click.argument("provider")
@click.argument("model")
@click.option("--prompt-tokens", type=TOKENS, required=True, help="The whole prompt, such as 8k.")
@click.option("--output-tokens", type=TOKENS, default=None, help="The visible answer.")
@click.option(
    "--cached-tokens", type=TOKENS, default=None, help="Of the prompt, read from the provider's cache."
)
@click.option("--cache-written-tokens", type=TOKENS, default=None, help="Of the prompt, put into the cache.")
@click.option("--thinking-tokens", type=TOKENS, default=None, help="Thought before the answer.")
@click.option(
    "--processing",
    type=click.Choice(get_args(Processing)),
    default="standard",
    show_default=True,
    help="How the provider handles it.",
)
@click.option("--calls", type=click.IntRange(min=1), default=1, show_default=True, help="So many of them.")
@at_option
@price_file_option
@currency_option
@format_option
@mendable_errors
def command(
    provider: str, model: str, prompt_tokens: int, output_tokens: int | None, cached_tokens: int | None,
    cache_written_tokens: int | None, thinking_tokens: int | None, processing: Processing, calls: int,
    at: datetime | None, price_file: Path | None, currency: str, output_format: str,
) -> None:  # fmt: skip
    """Price one call of MODEL at PROVIDER, with everything that is charged.

    The price of the hour counts: --at takes a moment, in UTC.

    \b
    Example:
      planner price call anthropic claude-opus-5 --prompt-tokens 100k --cached-tokens 90k --output-tokens 2k
    """
    tokens = CallTokens(
        prompt=prompt_tokens, output=output_tokens or 0, cached=cached_tokens or 0,
        cache_written=cache_written_tokens or 0, thinking=thinking_tokens or 0,
    )  # fmt: skip
    price, call = api.price_of_call(
        provider, model, tokens, at=at, processing=processing, price_file=price_file
    )
    render(price_call_document(price, call, tokens, calls, money_of(currency, day_of(at))), output_format)
