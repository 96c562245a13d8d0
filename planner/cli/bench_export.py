"""`planner bench export`."""

import click

from planner import api
from planner.cli.options import mendable_errors
from planner.load.load_test import LoadTest
from planner.report.kept_loads import as_vllm
from planner.report.llama_bench import AS_LLAMA_BENCH

_VLLM = "vllm"


@click.command("export")
@click.argument("runs", nargs=-1, required=True)
@click.option(
    "--as",
    "kind",
    type=click.Choice((*AS_LLAMA_BENCH, _VLLM)),
    default=None,
    help="A format of llama-bench's for benchmarks (json when left out), vllm for load tests.",
)
@mendable_errors
def command(runs: tuple[str, ...], kind: str | None) -> None:
    """Print benchmarks as llama-bench would have, and load tests as vllm bench serve, for tools that read those.

    Tests of several sequences at once are left out of the first: llama-bench has none. Extrapolated figures carry
    "(synthetic)" behind the model's type. Each level of a load test is one result, with its single requests.

    \b
    Examples:
      planner bench export last --as md
      planner bench export 3f2a91 --as vllm
    """
    found = [api.stored_run(run).run for run in runs]
    loads = [run for run in found if isinstance(run, LoadTest)]
    benchmarks = [run for run in found if not isinstance(run, LoadTest)]
    if loads and benchmarks:
        raise click.UsageError(
            "benchmarks and load tests have different formats; export them one after the other"
        )
    if loads:
        if kind not in (None, _VLLM):
            raise click.UsageError(f"llama-bench has no load tests to print as {kind}; use --as {_VLLM}")
        click.echo(as_vllm(loads))
        return
    if kind == _VLLM:
        raise click.UsageError(
            f"--as {_VLLM} is for load tests; benchmarks go out as {', '.join(AS_LLAMA_BENCH)}"
        )
    click.echo(AS_LLAMA_BENCH[kind or "json"](benchmarks))
