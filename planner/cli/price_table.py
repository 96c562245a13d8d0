"""`planner price table`."""

from datetime import datetime
from pathlib import Path

import click

from planner import api
from planner.cli.options import TOKENS, format_option, mendable_errors
from planner.cli.price_options import at_option, currency_option, day_of, money_of, price_file_option
from planner.cli.render import render
from planner.prices.main_table import SORT_KEYS, SortKey, TableQuery
from planner.report.price_table_document import price_table_document


@click.command("table")
@click.argument("text", nargs=-1)
@click.option(
    "--kind",
    type=click.Choice(("closed", "open")),
    default=None,
    help="Only closed models, or only open weights.",
)
@click.option(
    "--licence",
    "--license",
    "licence",
    default=None,
    metavar="NAME",
    help='This licence; patterns such as "apache*" work.',
)
@click.option("--modality", default=None, help="Takes this beside text: image, video or audio.")
@click.option("--min-context", type=TOKENS, default=None, help="At least this context, such as 128k.")
@click.option(
    "--max-price",
    type=click.FloatRange(min=0),
    default=None,
    help="At most so many dollars per million tokens, three in for one out.",
)
@click.option("--min-score", type=float, default=None, help="At least this score.")
@click.option(
    "--all",
    "with_unknown",
    is_flag=True,
    help="Also models without a known price on the day, with the reason.",
)
@click.option(
    "--sort",
    type=click.Choice(SORT_KEYS),
    default="price",
    show_default=True,
    help="Cheapest or smallest first; the best score first.",
)
@click.option("--reverse", is_flag=True, help="The other way round.")
@at_option
@price_file_option
@currency_option
@format_option
@mendable_errors
def command(
    text: tuple[str, ...], kind: str | None, licence: str | None, modality: str | None, min_context: int | None,
    max_price: float | None, min_score: float | None, with_unknown: bool, sort: SortKey, reverse: bool,
    at: datetime | None, price_file: Path | None, currency: str, output_format: str,
) -> None:  # fmt: skip
    """Show the main closed and open models: price, context, score, licence, modality.

    Open weights are shown at their cheapest host. Which models, and their scores, are rows of main_models.csv and
    benchmark_scores.csv; your own folder of profiles may add and replace both.

    \b
    Examples:
      planner price table
      planner price table --kind open --sort score --modality image
      planner price table --at 2025-05-01 --all
    """
    query = TableQuery(
        kind=kind, text=" ".join(text), licence=licence, modality=modality, min_context_tokens=min_context,
        max_usd_per_mtok=max_price, min_score=min_score, with_unknown=with_unknown, sort=sort, reverse=reverse,
    )  # fmt: skip
    day = day_of(at)
    found = api.price_table(query, day=day, price_file=price_file)
    compact = output_format == "table"
    render(price_table_document(found, day, money_of(currency, day), compact=compact), output_format)
