"""`planner hardware`."""

import click

from planner import api
from planner.cli.options import format_option, mendable_errors
from planner.cli.progress import progress_bar
from planner.cli.render import render
from planner.report.hardware_document import hardware_document


@click.command("hardware")
@click.option(
    "--measure", is_flag=True, help="Measure memory bandwidth and matrix throughput, and keep them."
)
@format_option
@mendable_errors
def command(measure: bool, output_format: str) -> None:
    """Show what this machine is and what is free now.

    \b
    Example:
      planner hardware --measure
    """
    if measure:
        with progress_bar("Measuring") as progress:
            machine = api.inspect(measure=True, progress=progress)
    else:
        machine = api.inspect()
    render(hardware_document(machine), output_format)
