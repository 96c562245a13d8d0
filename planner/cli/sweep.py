"""`planner sweep`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from planner import api
from planner.api.sweeping import SweepQuestion, SweepWays
from planner.cli.options import CommaList, complete_model, format_option, mendable_errors
from planner.cli.progress import progress_bar
from planner.cli.render import render
from planner.cli.workload_options import WorkloadChoice, workload_options
from planner.report.sweep_document import sweep_document


@click.command("sweep")
@click.argument("models", nargs=-1, required=True, shell_complete=complete_model)
@click.option("--machine", "machines", multiple=True, metavar="MACHINE",
              help="Only this machine; may be given again. Otherwise 1, 2, 4 and 8 of every accelerator with a price.")  # fmt: skip
@workload_options
@click.option("--workloads", type=CommaList(click.STRING, "NAME|FILE[,…]"), default=None,
              help="Several workloads in place of one, each with the other options' figures.")  # fmt: skip
@click.option("--deal", type=click.Choice(["on-demand", "reserved", "spot", "buy"]), default="on-demand", show_default=True,
              help="How machines are had.")  # fmt: skip
@click.option("--engine", "engines", type=CommaList(click.Choice(["vllm", "sglang"]), "ENGINE[,…]"), default="vllm",
              show_default=True, help="Serving engines to try.")  # fmt: skip
@click.option("--quantization", "quantizations", type=CommaList(click.Choice(["published", "fp8"]), "WAY[,…]"),
              default="published,fp8", show_default=True, help="Weights as published, or quantized while loading.")  # fmt: skip
@click.option("--spares", type=click.IntRange(0, 1000), default=0, show_default=True,
              help="Machines more than the load needs.")  # fmt: skip
@click.option("--journal", type=click.Path(dir_okay=False, path_type=Path), default=None,
              help="Keep answers in this file as they come; the same command goes on from there.")  # fmt: skip
@click.option(
    "--jobs", type=click.IntRange(1, 1024), default=None, help="Processes; all cores when left out."
)
@click.option("--ray", metavar="ADDRESS", default=None,
              help="A Ray cluster to work it out, HOST:PORT, or auto for this host's.")  # fmt: skip
@format_option
@mendable_errors
def command(
    models: tuple[str, ...],
    machines: tuple[str, ...],
    workload: WorkloadChoice,
    workloads: tuple[str, ...] | None,
    deal: Any,
    engines: tuple[str, ...],
    quantizations: Any,
    spares: int,
    journal: Path | None,
    jobs: int | None,
    ray: str | None,
    output_format: str,
) -> None:
    """Size many models on many machines for many workloads: the cheapest of each, and why others do not do.

    MODELS are names of the catalogue, in which * stands for anything, or what else REF may be. Ctrl-C keeps what a journal
    has.

    \b
    Examples:
      planner sweep 'qwen3-*' llama-3.3-70b-instruct --rps 4
      planner sweep '*' --workloads chat,rag,coding-agent --journal sweep.journal
      planner sweep '*' --journal sweep.journal --ray head:6379 --format csv
    """
    refs = (workload.ref,) if workloads is None else workloads
    question = SweepQuestion(
        models=api.swept_models(models),
        workloads=tuple(replace(workload, ref=ref).read() for ref in refs),
        machines=machines,
        deal=deal,
        engines=engines,
        quantizations=quantizations,
        n_spare_machines=spares,
    )
    ways = SweepWays(n_workers=jobs, ray=ray, journal=journal)
    with progress_bar("Sweep") as progress:
        answers = api.sweep_sizes(question, ways, progress)
    render(sweep_document(answers, whole=output_format == "csv"), output_format)
