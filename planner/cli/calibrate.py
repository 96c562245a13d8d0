"""`planner calibrate`."""

import datetime
from pathlib import Path

import click

from planner import api
from planner.cli.measurement_options import given_options
from planner.cli.options import format_option, mendable_errors
from planner.cli.progress import patient_progress
from planner.cli.render import render
from planner.report.speed_calibration_document import speed_calibration_document


@click.command("calibrate")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder for the two CSV files: effects, and intervals.",
)
@click.option(
    "--date",
    default=None,
    help="The date to put into the rows, such as 2026-11-27; today's without it.",
)
@given_options
@format_option
@mendable_errors
def command(
    files: tuple[Path, ...], out: Path, date: str | None, given: api.Given, output_format: str
) -> None:
    """Fit the efficiencies of llama.cpp to measured speeds, with intervals from what refits miss by.

    FILES are tables as `planner validate speed` reads them. All rows of all files are fitted together: what one
    device, type or backend shares with others is learned from all of them. Put the files into
    `calibrations` of your own profiles folder and every command uses them.

    \b
    Examples:
      planner calibrate bench.csv --out calibrations
      planner calibrate published.csv mine.csv --out calibrations --date 2026-11-27
    """
    with patient_progress("Fit") as progress:
        found = api.calibrate_speed(
            files,
            date=date or datetime.datetime.now(datetime.UTC).date().isoformat(),
            given=given,
            progress=progress,
        )
    written = api.write_speed_calibration(found, out)
    render(speed_calibration_document(found, [path.name for path in written]), output_format)
