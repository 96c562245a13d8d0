"""`planner bench ollama`."""

import click

from planner import api
from planner.bench.ollama.run import OllamaRequest
from planner.cli.options import format_option, mendable_errors
from planner.cli.progress import progress_bar
from planner.cli.render import render
from planner.report.bench_document import bench_document


@click.command("ollama")
@click.argument("model")
@click.option("--host", default=None, help="Where Ollama listens; OLLAMA_HOST or this machine when left out.")
@click.option("--pull", is_flag=True, help="Let Ollama download the model where it does not have it.")
@click.option("--budget", "budget_s", type=click.FloatRange(1, 3600), default=60.0, show_default=True,
              help="Seconds to spend measuring, loading apart.")  # fmt: skip
@click.option("--depth", type=click.IntRange(0), default=0, show_default=True,
              help="Decode also behind so many tokens of context.")  # fmt: skip
@click.option(
    "--threads", type=click.IntRange(1, 1024), default=None, help="Threads; Ollama decides when left out."
)
@click.option("--gpu-layers", type=click.IntRange(0, 10_000), default=None,
              help="Layers on the GPU; Ollama decides when left out.")  # fmt: skip
@click.option("--no-save", is_flag=True, help="Do not keep the run for later estimates.")
@format_option
@mendable_errors
def command(
    model: str,
    host: str | None,
    pull: bool,
    budget_s: float,
    depth: int,
    threads: int | None,
    gpu_layers: int | None,
    no_save: bool,
    output_format: str,
) -> None:
    """Measure a model in this machine's Ollama, with the timings that Ollama counts itself.

    Prompts of 512 tokens and answers of 128, as `planner bench` measures them in llama.cpp. Nothing is pulled unless
    --pull says so. Later estimates of `planner fit --engine ollama` use the run.

    \b
    Examples:
      planner bench ollama qwen3:8b
      planner bench ollama qwen3:8b --pull --depth 8192
    """
    request = OllamaRequest(
        model=model.removeprefix("ollama:"), depth=depth, n_threads=threads, n_gpu_layers=gpu_layers,
        budget_s=budget_s, pull=pull,
    )  # fmt: skip
    with progress_bar("Benchmark") as progress:
        answer = api.bench_in_ollama(request, host=host, save=not no_save, progress=progress)
    render(bench_document(answer.run, answer.predicted), output_format)
