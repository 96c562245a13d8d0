"""`planner bench list`."""

import click

from planner import api
from planner.cli.options import format_option, mendable_errors
from planner.cli.render import render
from planner.report.bench_document import runs_document


@click.command("list")
@format_option
@mendable_errors
def command(output_format: str) -> None:
    """List the benchmarks that are kept, newest first, with the ids that the other commands take.

    \b
    Example:
      planner bench list
    """
    stored, warnings = api.list_runs()
    render(
        runs_document([(item.id, item.run) for item in stored], warnings, api.this_machine()), output_format
    )
