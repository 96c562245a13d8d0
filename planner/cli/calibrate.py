"""`planner calibrate`."""

import datetime
from pathlib import Path

import click

from planner import api
from planner.cli.measurement_options import given_options
from planner.cli.options import format_option, mendable_errors
from planner.cli.progress import patient_progress
from planner.cli.render import render
from planner.report.kept_calibration_document import kept_list_document, own_calibration_document
from planner.report.speed_calibration_document import speed_calibration_document


@click.command("calibrate")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--runs", is_flag=True, help="Also what planner bench measured of llama.cpp on this machine.")
@click.option("--fresh", is_flag=True, help="Without the measurements of the calibration in use.")
@click.option(
    "--alone", is_flag=True, help="Without the packaged fit; takes measurements of many devices and models."
)
@click.option("--again", is_flag=True, help="Make the calibration in use anew, over the packaged fit of now.")
@click.option("--show", is_flag=True, help="List what is kept, and which calibration estimates use.")
@click.option("--use", metavar="NAME", default=None, help='Use a kept calibration, or "packaged".')
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Keep nothing; write the tables of a fit to FILES alone into this folder.",
)
@click.option(
    "--date", default=None, help="The date to put into the fit, such as 2026-11-27; today's without it."
)
@given_options
@format_option
@mendable_errors
def command(
    files: tuple[Path, ...],
    runs: bool,
    fresh: bool,
    alone: bool,
    again: bool,
    show: bool,
    use: str | None,
    out: Path | None,
    date: str | None,
    given: api.Given,
    output_format: str,
) -> None:
    """Teach your own measurements to the speed estimates.

    FILES are any that `planner validate speed` reads. Benchmarks of llama.cpp move what belongs to your devices and
    models most, and what thousands of measurements agree on hardly; loads on vLLM, SGLang or TensorRT-LLM correct other
    loads of the same deployment. The result is kept in your data folder beside earlier ones, and every later estimate uses it and says so.
    Further files join those of the calibration in use.

    \b
    Examples:
      llama-bench -m model.gguf -o json > bench.json; planner calibrate bench.json
      planner calibrate pasted.md --device "RTX 4090"
      planner calibrate vllm.json --device "4x H100 SXM" --engine vllm
      planner calibrate --runs
      planner calibrate --show
      planner calibrate --use packaged
      planner calibrate published.csv mine.csv --out calibrations --date 2026-11-27
    """
    _refuse_contradictions(files, runs=runs, again=again, show=show, use=use, out=out)
    if show or use is not None:
        found = api.list_calibrations() if use is None else api.choose_calibration(use)
        render(kept_list_document(found), output_format)
        return
    if runs:
        files += api.own_run_files()
    today = date or datetime.datetime.now(datetime.UTC).date().isoformat()
    with patient_progress("Fit") as progress:
        if out is not None:
            fitted = api.calibrate_speed(files, date=today, given=given, progress=progress)
        else:
            own = api.calibrate_own(
                files, date=today, given=given, fresh=fresh, alone=alone, progress=progress
            )
    if out is not None:
        written = api.write_speed_calibration(fitted, out)
        document = speed_calibration_document(fitted, [path.name for path in written])
    else:
        document = own_calibration_document(own)
    render(document, output_format)


def _refuse_contradictions(
    files: tuple[Path, ...], *, runs: bool, again: bool, show: bool, use: str | None, out: Path | None
) -> None:
    asked = [
        name
        for name, is_asked in (("--again", again), ("--show", show), ("--use", use is not None))
        if is_asked
    ]
    if len(asked) > 1 or (asked and (files or runs or out)):
        raise click.UsageError(f"{' and '.join(asked)} stands alone, without FILES or --out")
    if not files and not runs and not asked:
        raise click.UsageError("name files of measurements, or --runs, --show, --use NAME or --again")
