"""`planner workload show`."""

import click

from planner.cli.options import format_option, mendable_errors
from planner.cli.render import render
from planner.cli.workload_options import WorkloadChoice, workload_options
from planner.report.workload_document import workload_document


@click.command("show")
@click.argument("name", required=False, default=None)
@workload_options
@format_option
@mendable_errors
def command(name: str | None, workload: WorkloadChoice, output_format: str) -> None:
    """Show a workload with every figure, where it comes from, and what it comes to in tokens.

    \b
    Examples:
      planner workload show chat
      planner workload show mine.toml --rps 5
    """
    if name is not None and workload.ref is not None:
        raise click.UsageError("NAME and --workload are two ways to name a workload; give one")
    chosen = workload if name is None else WorkloadChoice(ref=name, overrides=workload.overrides)
    render(workload_document(chosen.read()), output_format)
