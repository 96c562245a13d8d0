"""`planner bench compare`."""

import click

from planner import api
from planner.cli.options import format_option, mendable_errors
from planner.cli.render import render
from planner.load.load_test import LoadTest
from planner.report.bench_document import comparison_document
from planner.report.kept_loads import load_comparison_document


@click.command("compare")
@click.argument("runs", nargs=-1, required=True)
@format_option
@mendable_errors
def command(runs: tuple[str, ...], output_format: str) -> None:
    """Compare benchmarks, or load tests, point by point with the first, and say what else differs between them.

    \b
    Example:
      planner bench compare 3f2a91 last
    """
    if len(runs) < 2:
        raise click.UsageError("name two benchmarks or more; planner bench list shows their ids")
    found = [api.stored_run(run) for run in runs]
    loads = [(item.id, item.run) for item in found if isinstance(item.run, LoadTest)]
    benchmarks = [(item.id, item.run) for item in found if not isinstance(item.run, LoadTest)]
    if loads and benchmarks:
        raise click.UsageError("a benchmark and a load test have nothing to compare; name runs of one kind")
    document = load_comparison_document(loads) if loads else comparison_document(benchmarks)
    render(document, output_format)
