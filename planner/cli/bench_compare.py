"""`planner bench compare`."""

import click

from planner import api
from planner.cli.options import format_option, mendable_errors
from planner.cli.render import render
from planner.report.bench_document import comparison_document


@click.command("compare")
@click.argument("runs", nargs=-1, required=True)
@format_option
@mendable_errors
def command(runs: tuple[str, ...], output_format: str) -> None:
    """Compare benchmarks test by test with the first, and say what else differs between them.

    \b
    Example:
      planner bench compare 3f2a91 last
    """
    if len(runs) < 2:
        raise click.UsageError("name two benchmarks or more; planner bench list shows their ids")
    found = [api.stored_run(run) for run in runs]
    render(comparison_document([(item.id, item.run) for item in found]), output_format)
