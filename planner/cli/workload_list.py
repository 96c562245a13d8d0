"""`planner workload list`."""

import click

from planner import api
from planner.cli.options import format_option, mendable_errors
from planner.cli.render import render
from planner.report.workload_document import workloads_document


@click.command("list")
@format_option
@mendable_errors
def command(output_format: str) -> None:
    """List the presets, packaged and your own.

    \b
    Example:
      planner workload list
    """
    render(workloads_document(api.list_workloads()), output_format)
