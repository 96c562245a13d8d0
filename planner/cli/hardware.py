"""`planner hardware`."""

import click

from planner import api
from planner.cli.options import format_option, mendable_errors
from planner.cli.progress import patient_progress, progress_bar
from planner.cli.render import render
from planner.report.fleet_document import fleet_document
from planner.report.hardware_document import hardware_document


@click.command("hardware")
@click.option(
    "--measure",
    is_flag=True,
    help="Measure memory bandwidth, matrix throughput, the disk and what GPUs copy, and keep the rates.",
)
@click.option(
    "--fleet",
    metavar="SOURCE",
    default=None,
    help="Many machines: folder:PATH (of files that --format json wrote), ray[:HOST:PORT], kubernetes, or - for "
    "kubectl get nodes -o json piped in.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(1, 3600),
    default=120.0,
    show_default=True,
    help="Seconds to wait for the nodes of a Ray cluster.",
)
@format_option
@mendable_errors
def command(measure: bool, fleet: str | None, timeout_s: float, output_format: str) -> None:
    """Show what this machine is and what is free now, or what a fleet is.

    \b
    Examples:
      planner hardware --measure
      planner hardware --format json > m.json
      planner fit REF --on m.json                       (elsewhere)
      planner hardware --fleet ray --format json > fleet.json
      planner fit REF --on fleet:fleet.json
      kubectl get nodes -o json | planner hardware --fleet -
    """
    if fleet is not None:
        if measure:
            raise click.UsageError("--measure is for this machine; leave it out with --fleet")
        nodes_json = None
        if fleet.strip() == "-":
            with click.open_file("-", encoding="utf-8", errors="replace") as stream:
                nodes_json = stream.read()
        with patient_progress("Fleet") as progress:
            gathered = api.gather_fleet(fleet, nodes_json=nodes_json, timeout_s=timeout_s, progress=progress)
        render(fleet_document(gathered), output_format)
        return
    if measure:
        with progress_bar("Measuring") as progress:
            machine = api.inspect(measure=True, measure_devices=True, progress=progress)
    else:
        machine = api.inspect()
    render(hardware_document(machine), output_format)
