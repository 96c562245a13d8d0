"""`planner bench rm`."""

import click

from planner import api
from planner.cli.options import mendable_errors
from planner.load.load_test import LoadTest
from planner.report.outside_text import plain


@click.command("rm")
@click.argument("runs", nargs=-1, required=True)
@mendable_errors
def command(runs: tuple[str, ...]) -> None:
    """Remove benchmarks or load tests for good; estimates no longer use them.

    \b
    Example:
      planner bench rm 3f2a91
    """
    for item in api.remove_runs(runs):
        run = item.run
        name = run.model if isinstance(run, LoadTest) else run.model_name
        click.echo(f"removed {item.id} ({plain(name)}, {run.measured_at[:10]})", err=True)
