"""`planner bench run`, or `planner bench` with a model."""

import sys

import click

from hardware.units import parse_tokens
from planner import api
from planner.cli.options import SIZE, CommaList, Quantity, format_option, mendable_errors, reference_argument
from planner.cli.progress import progress_bar
from planner.cli.render import render
from planner.report.bench_document import bench_document

DEPTH = Quantity("depth", lambda text: 0 if text.strip() == "0" else parse_tokens(text))


@click.command("run")
@reference_argument()
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
@click.option(
    "--engine",
    default="llama.cpp",
    show_default=True,
    help="Or llama-bench or llama-server on the PATH, or NAME=PATH of one.",
)
@click.option(
    "--synthetic",
    is_flag=True,
    help="The model is not here: run a few layers of its shape with random weights, and extrapolate.",
)
@click.option("--quant", default=None, help="With --synthetic: the quantization; Q4_K_M when left out.")
@click.option(
    "--disk",
    "disk_bytes",
    type=SIZE,
    default=None,
    help="With --synthetic: the most disk that its files may take for a while; 4GiB when left out.",
)
@click.option("--yes", is_flag=True, help="With --synthetic: do not ask before writing.")
@click.option(
    "--depths",
    type=CommaList(DEPTH, "N,N,…"),
    default=(),
    help="Only these depths of context, such as 0,4k,16k, in place of the smoke test.",
)
@click.option(
    "--batches",
    type=CommaList(click.IntRange(1, 1024), "N,N,…"),
    default=(),
    help="Beside one sequence, these numbers of sequences at once.",
)
@click.option(
    "--thread-sweep",
    type=CommaList(click.IntRange(1, 1024), "N,N,…"),
    default=(),
    help="Both tests with these numbers of threads too.",
)
@click.option("--no-save", is_flag=True, help="Do not keep the run for later estimates.")
@format_option
@mendable_errors
def command(
    ref: str,
    threads: int | None,
    budget_s: float,
    gpu_layers: int,
    engine: str,
    synthetic: bool,
    quant: str | None,
    disk_bytes: int | None,
    yes: bool,
    depths: tuple[int, ...],
    batches: tuple[int, ...],
    thread_sweep: tuple[int, ...],
    no_save: bool,
    output_format: str,
) -> None:
    """Measure a GGUF file in llama.cpp: 512 prompt tokens, 128 generated ones, 128 for each of eight sequences at
    once, and 128 behind a long context. Each is repeated until it repeats within 2 %, or the time is up.

    The engine runs in a child process: a crash is reported, Ctrl-C keeps what was measured. The run is kept,
    and every later estimate on this machine uses it.

    With --synthetic, REF need not be here: any model that `planner fit` knows. What its files will take of disk
    and memory is said and asked before they are written; they are removed once they are loaded.

    \b
    Examples:
      planner bench model.gguf
      planner bench model.gguf --depths 0,4k,16k --batches 4,16
      planner bench qwen3-8b --synthetic --quant Q4_K_M
    """
    if synthetic and (batches or thread_sweep or engine != "llama.cpp"):
        raise click.UsageError("--synthetic takes --depths only, of the sweeps, and no other engine")
    if not synthetic and (quant or disk_bytes or yes):
        raise click.UsageError(
            "--quant, --disk and --yes go with --synthetic; a GGUF file has its quantization"
        )
    settings = api.BenchSettings(
        n_threads=threads,
        budget_s=budget_s,
        n_gpu_layers=gpu_layers,
        depths=depths,
        batches=batches,
        threads=thread_sweep,
        engine=engine,
    )
    if synthetic:
        if not yes and not sys.stdin.isatty():
            raise click.UsageError("there is no terminal to ask on; add --yes to write its files")
        question = api.plan_synthetic_bench(
            ref, quant=quant, disk_limit_bytes=disk_bytes or api.DEFAULT_DISK_BYTES
        )
        click.echo(question.summary, err=True)
        if not yes:
            click.confirm("Write and run them?", abort=True, err=True)
        with progress_bar("Synthetic benchmark") as progress:
            answer = api.bench_synthetic(question, settings=settings, save=not no_save, progress=progress)
    else:
        with progress_bar("Benchmark") as progress:
            answer = api.bench(ref, settings=settings, save=not no_save, progress=progress)
    render(bench_document(answer.run, answer.predicted), output_format)
    if answer.was_stopped:
        sys.exit(130)
