"""`planner report`."""

import json
from pathlib import Path

import click

from planner import api
from planner.cli.costs_files import costs_files
from planner.cli.options import assume_option, format_option, mendable_errors, on_option, reference_argument
from planner.cli.progress import progress_bar
from planner.cli.render import render, wrapped
from planner.cli.report_files import write_all
from planner.quoting import quoted
from planner.readers.local_json import read_json_object
from planner.report.difference import difference_document
from planner.report.full_data import report_data
from planner.report.html import render_html
from planner.report.markdown import render_markdown
from planner.report.report_document import report_document
from planner.report.story import story


@click.command("report")
@reference_argument(required=False)
@click.option("--demo", is_flag=True, help="Use the small model that the demo installs.")
@on_option
@click.option("--quant", default=None, help="GGUF preset to plan with, for a model known by its config.")
@click.option(
    "--tokens-per-month",
    type=click.FloatRange(min=1),
    default=api.DEFAULT_TOKENS_PER_MONTH,
    show_default=True,
    help="Prompt and answer tokens together.",
)
@click.option(
    "--output-share",
    type=click.FloatRange(0.001, 0.999),
    default=api.DEFAULT_OUTPUT_FRACTION,
    show_default=True,
    help="Share of the tokens that is generated.",
)
@click.option(
    "--own-usd-per-month",
    type=click.FloatRange(min=0),
    default=None,
    help="What the machine costs a month, without electricity when --power is given.",
)
@click.option("--power", "power_w", type=click.FloatRange(min=0), default=None, help="Watts at the socket.")
@click.option(
    "--electricity", "usd_per_kwh", type=click.FloatRange(min=0), default=None, help="Dollars per kWh."
)
@click.option(
    "--budget",
    "budget_s",
    type=click.FloatRange(1, 3600),
    default=60.0,
    show_default=True,
    help="Seconds to spend on the benchmark.",
)
@click.option("--no-measure", is_flag=True, help="Estimate only.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    show_default="here",
    help="Folder for report.html, report.md and report.json.",
)
@click.option(
    "--from",
    "kept",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Make the files of planner compare --out again from its compare.json alone.",
)
@click.option(
    "--diff",
    "earlier",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="A report.json or compare.json of an earlier time: say what changed since.",
)
@assume_option
@format_option
@mendable_errors
def command(
    ref: str | None,
    demo: bool,
    on: str | None,
    quant: str | None,
    tokens_per_month: float,
    output_share: float,
    own_usd_per_month: float | None,
    power_w: float | None,
    usd_per_kwh: float | None,
    budget_s: float,
    no_measure: bool,
    out: Path,
    kept: Path | None,
    earlier: Path | None,
    assume: tuple[str, ...],
    output_format: str,
) -> None:
    """Inspect, read, estimate, measure and price a model; write it as HTML, Markdown and JSON.

    \b
    Examples:
      planner report --demo
      planner report model.gguf --tokens-per-month 2e9 --own-usd-per-month 400
      planner report --from old/compare.json --out new/
      planner report --from new/compare.json --diff old/compare.json
    """
    if kept is not None:
        if demo or ref is not None:
            raise click.UsageError("a report that is kept names its model itself: leave REF and --demo out")
        _from_kept(kept, earlier, out, output_format)
        return
    if demo == (ref is not None):
        raise click.UsageError("name a model, or give --demo, not both")
    if (power_w is None) != (usd_per_kwh is None):
        raise click.UsageError("give --power and --electricity together")
    with progress_bar("Report") as progress:
        report = api.report(
            ref,
            on=on,
            quant=quant,
            tokens_per_month=tokens_per_month,
            output_fraction=output_share,
            own_usd_per_month=own_usd_per_month,
            power_w=power_w,
            usd_per_kwh=usd_per_kwh,
            budget_s=budget_s,
            measure=not no_measure,
            assume=assume,
            progress=progress,
        )
        progress(0.97, "drawing")
        texts = {
            "report.html": render_html(report),
            "report.md": render_markdown(report),
            "report.json": json.dumps(report_data(report), indent=2) + "\n",
        }
        progress(1.0, "done")
    paths = write_all(out, texts)
    if earlier is not None:
        render(difference_document(read_json_object(earlier), report_data(report)), output_format)
        for path in paths:
            click.echo(f"wrote {path.resolve()}", err=True)
        return
    if output_format != "table":
        render(report_document(report), output_format)
        for path in paths:
            click.echo(f"wrote {path.resolve()}", err=True)
        return
    click.echo("\n\n".join(wrapped(sentence) for sentence in story(report).answer))
    click.echo()
    for path in paths:
        click.echo(f"  {path.resolve()}")


def _from_kept(kept: Path, earlier: Path | None, out: Path, output_format: str) -> None:
    """The files of a comparison from its JSON; with an earlier one, what changed between them."""
    data = read_json_object(kept)
    if earlier is not None:
        render(difference_document(read_json_object(earlier), data), output_format)
        return
    for path in write_all(out, costs_files(data, quoted(kept))):
        click.echo(f"  {path.resolve()}")
