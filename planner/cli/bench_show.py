"""`planner bench show`."""

import click

from planner import api
from planner.cli.options import format_option, mendable_errors
from planner.cli.render import render
from planner.report.bench_document import bench_document


@click.command("show")
@click.argument("run")
@format_option
@mendable_errors
def command(run: str, output_format: str) -> None:
    """Show one benchmark: an id of `planner bench list` or its beginning, `last`, or a file.

    \b
    Example:
      planner bench show last --format json
    """
    render(bench_document(api.stored_run(run).run, {}), output_format)
