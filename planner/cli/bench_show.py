"""`planner bench show`."""

import click

from planner import api
from planner.cli.options import format_option, mendable_errors
from planner.cli.render import render
from planner.load.load_test import LoadTest
from planner.report.bench_document import bench_document
from planner.report.load_document import load_document


@click.command("show")
@click.argument("run")
@format_option
@mendable_errors
def command(run: str, output_format: str) -> None:
    """Show one benchmark or load test: an id of `planner bench list` or its beginning, `last`, or a file.

    \b
    Example:
      planner bench show last --format json
    """
    found = api.stored_run(run).run
    render(load_document(found) if isinstance(found, LoadTest) else bench_document(found, {}), output_format)
