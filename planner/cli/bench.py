"""`planner bench`."""

import click

from planner import api
from planner.cli.options import format_option, mendable_errors
from planner.cli.progress import progress_bar
from planner.cli.render import render
from planner.report.bench_document import bench_document


@click.command("bench")
@click.argument("ref")
@click.option(
    "--threads", type=click.IntRange(1, 1024), default=None, help="Threads; one per core when left out."
)
@click.option(
    "--budget",
    "budget_s",
    type=click.FloatRange(1, 3600),
    default=60.0,
    show_default=True,
    help="Seconds to spend measuring, loading apart.",
)
@click.option(
    "--gpu-layers",
    type=click.IntRange(-1, 10_000),
    default=-1,
    show_default=True,
    help="Layers on the GPU; -1 for all.",
)
@click.option("--no-save", is_flag=True, help="Do not keep the run for later estimates.")
@format_option
@mendable_errors
def command(
    ref: str, threads: int | None, budget_s: float, gpu_layers: int, no_save: bool, output_format: str
) -> None:
    """Measure a GGUF file in llama.cpp: 512 prompt tokens, 128 generated ones.

    The engine runs in a child process: a crash is reported, Ctrl-C leaves nothing running. The run is kept,
    and every later estimate on this machine uses it.

    \b
    Example:
      planner bench model.gguf
    """
    with progress_bar("Benchmark") as progress:
        answer = api.bench(
            ref,
            n_threads=threads,
            budget_s=budget_s,
            n_gpu_layers=gpu_layers,
            save=not no_save,
            progress=progress,
        )
    render(bench_document(answer.run, answer.predicted), output_format)
