"""`planner cost pipeline`."""

from datetime import datetime
from pathlib import Path

import click

from planner import api
from planner.cli.options import format_option, mendable_errors
from planner.cli.price_options import at_option, price_file_option
from planner.cli.progress import progress_bar
from planner.cli.render import render
from planner.report.pipeline_document import pipeline_document


@click.command("pipeline")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--set",
    "stated",
    metavar="NAME=VALUE",
    multiple=True,
    help="A figure of your own, as for planner compare.",
)
@click.option(
    "--costs",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    help="A TOML file of such figures.",
)
@at_option
@price_file_option
@click.option("--explain", is_flag=True, help="Print every term with its source.")
@format_option
@mendable_errors
def command(
    file: Path,
    stated: tuple[str, ...],
    costs: tuple[Path, ...],
    at: datetime | None,
    price_file: Path | None,
    explain: bool,
    output_format: str,
) -> None:
    """Several models one after the other (router, worker, checker), each on the cheapest of what may run it.

    docs/costs.md describes the file.

    \b
    Examples:
      planner cost pipeline pipeline.toml
      planner cost pipeline pipeline.toml --set electricity_usd_per_kwh=0.3 --explain
    """
    question = api.CompareQuestion(same_hosts=0, stated=stated, costs=costs, at=at, price_file=price_file)
    with progress_bar("Pipeline") as progress:
        found = api.cost_pipeline(file, question, progress=progress)
    render(pipeline_document(found, explain=explain), output_format)
