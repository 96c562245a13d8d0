"""`planner bench rm`."""

import click

from planner import api
from planner.cli.options import mendable_errors


@click.command("rm")
@click.argument("runs", nargs=-1, required=True)
@mendable_errors
def command(runs: tuple[str, ...]) -> None:
    """Remove benchmarks for good; estimates no longer use them.

    \b
    Example:
      planner bench rm 3f2a91
    """
    for item in api.remove_runs(runs):
        click.echo(f"removed {item.id} ({item.run.model_name}, {item.run.measured_at[:10]})", err=True)
