"""`planner bench import`."""

from pathlib import Path

import click

from planner import api
from planner.cli.options import format_option, mendable_errors
from planner.cli.render import render
from planner.load.load_test import LoadTest
from planner.report.bench_document import runs_document


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--here", is_flag=True, help="It was measured on this machine: later estimates may use it.")
@format_option
@mendable_errors
def command(file: Path, here: bool, output_format: str) -> None:
    """Keep what llama-bench printed as JSON or JSON lines, or a run of `planner bench` or `planner load` from elsewhere.

    Without --here the runs are kept for comparing and belong to no machine that is estimated for.

    \b
    Example:
      llama-bench -m model.gguf -o json > runs.json; planner bench import runs.json --here
    """
    stored = api.import_runs(file, here=here)
    loads = [(item.id, item.run) for item in stored if isinstance(item.run, LoadTest)]
    benchmarks = [(item.id, item.run) for item in stored if not isinstance(item.run, LoadTest)]
    render(runs_document(benchmarks, (), api.this_machine(), loads), output_format)
