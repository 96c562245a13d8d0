"""`planner bench export`."""

import click

from planner import api
from planner.cli.options import mendable_errors
from planner.report.llama_bench import AS_LLAMA_BENCH


@click.command("export")
@click.argument("runs", nargs=-1, required=True)
@click.option(
    "--as",
    "kind",
    type=click.Choice(tuple(AS_LLAMA_BENCH)),
    default="json",
    show_default=True,
    help="llama-bench's output format.",
)
@mendable_errors
def command(runs: tuple[str, ...], kind: str) -> None:
    """Print benchmarks as llama-bench would have, for tools that read its output.

    Tests of several sequences at once are left out: llama-bench has none. Extrapolated figures carry
    "(synthetic)" behind the model's type.

    \b
    Example:
      planner bench export last --as md
    """
    click.echo(AS_LLAMA_BENCH[kind]([api.stored_run(run).run for run in runs]))
