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
    """List the benchmarks and load tests that are kept, newest first, with the ids that the other commands take.

    \b
    Example:
      planner bench list
    """
    stored, warnings = api.list_runs()
    loads, more = api.list_loads()
    document = runs_document(
        [(item.id, item.run) for item in stored],
        (*warnings, *more),
        api.this_machine(),
        [(item.id, item.run) for item in loads],
    )
    render(document, output_format)
