"""`planner size`."""

from dataclasses import replace
from typing import Any

import click

from planner import api
from planner.cli.deploy_options import DeployChoice, deploy_options
from planner.cli.options import (
    TOKENS,
    CommaList,
    assume_option,
    format_option,
    mendable_errors,
    reference_argument,
)
from planner.cli.progress import patient_progress
from planner.cli.render import render
from planner.cli.workload_options import WorkloadChoice, workload_options
from planner.report.size_document import size_document
from planner.sizing.budget import parse_budget
from planner.sizing.counts import Window
from planner.sizing.question import Limits, SizingQuestion


class Budget(click.ParamType[float]):
    """Dollars per time."""

    name = "MONEY/TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Dollars a month, or a usage error that shows how to write it."""
        if isinstance(value, float):
            return value
        try:
            return parse_budget(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command("size")
@reference_argument()
@workload_options
@click.option("--machine", "machines", multiple=True, metavar="MACHINE",
              help='Only this machine, such as "4x H100 SXM", p5.48xlarge or, two that are joined, "2x DGX H100"; may be given again. Otherwise 1, 2, 4 and 8 of '
              "every accelerator with a price.")  # fmt: skip
@click.option("--have", metavar="MACHINES", default=None,
              help='What machines that you own carry: fleet:PATH, or "4x p5.48xlarge".')  # fmt: skip
@click.option("--budget", type=Budget(), default=None,
              help='What so much money carries, such as "10000$/month".')  # fmt: skip
@click.option("--deal", type=click.Choice(["on-demand", "reserved", "spot", "buy"]), default="on-demand", show_default=True,
              help="How machines are had.")  # fmt: skip
@click.option("--engine", "engines", type=CommaList(click.Choice(["vllm", "sglang"]), "ENGINE[,…]"), default="vllm",
              show_default=True, help="Serving engines to try.")  # fmt: skip
@click.option("--quantization", "quantizations", type=CommaList(click.Choice(["published", "fp8"]), "WAY[,…]"),
              default="published,fp8", show_default=True,
              help="Weights as published, or quantized to FP8 while loading (vLLM, on GPUs that multiply in FP8).")  # fmt: skip
@click.option(
    "--kv-cache-dtype",
    "cache_type",
    default="auto",
    show_default=True,
    help="The cache's type, as the engine names it.",
)
@click.option("--context", type=TOKENS, default=None,
              help="Longest request that the engine is told to take; the workload's longest when left out.")  # fmt: skip
@click.option("--max-seqs", type=CommaList(click.IntRange(1, 65536), "N[,…]"), default=None,
              help="Limits of requests in a batch to try; the engine's own when left out.")  # fmt: skip
@click.option("--max-batched-tokens", type=CommaList(click.IntRange(1, 2_000_000), "N[,…]"), default=None,
              help="Limits of tokens in a step to try; the engine's own when left out.")  # fmt: skip
@click.option("--spares", type=click.IntRange(0, 1000), default=None,
              help="Machines more than the load needs, each of which may fail as a whole; 1 where the workload states an "
              "availability, else 0.")  # fmt: skip
@click.option("--confidence", type=click.Choice(["expected", "low"]), default="expected", show_default=True,
              help="Speeds that it is sized for: as expected, or the low end of their 80 % interval.")  # fmt: skip
@click.option("--years", type=click.FloatRange(0, 20), default=0.0, show_default=True,
              help="Years of the workload's growth to be ready for.")  # fmt: skip
@click.option("--window", type=click.FloatRange(0, 24, min_open=True), default=24.0, show_default=True,
              help="Hours of each day in which work is done that nobody waits for.")  # fmt: skip
@click.option("--nobody-waits", is_flag=True,
              help="Drop the workload's objectives: answers need only be there by the end of each day's window.")  # fmt: skip
@click.option("--always-on", is_flag=True, help="Machines run through the window even without work.")
@click.option(
    "--explain", is_flag=True, help="Show where every number comes from, and everything that was rejected."
)
@deploy_options
@assume_option
@format_option
@mendable_errors
def command(
    ref: str,
    workload: WorkloadChoice,
    machines: tuple[str, ...],
    have: str | None,
    budget: float | None,
    deal: Any,
    engines: tuple[str, ...],
    quantizations: Any,
    cache_type: str,
    context: int | None,
    max_seqs: tuple[int, ...] | None,
    max_batched_tokens: tuple[int, ...] | None,
    spares: int | None,
    confidence: Any,
    years: float,
    window: float,
    nobody_waits: bool,
    always_on: bool,
    explain: bool,
    deploy: DeployChoice,
    assume: tuple[str, ...],
    output_format: str,
) -> None:
    """Find how many of which machine serve a model to a workload, laid out how, at what cost.

    Every layout that the engine would not start, or that cannot keep to the objectives, is rejected with its reason; what
    is left is simulated at the peak hour. The cheapest option comes first.

    \b
    Examples:
      planner size llama-3.3-70b-instruct --workload chat --rps 6
      planner size qwen3-32b --rps 2 --machine "2x H100 SXM" \\
        --slo "ttft p95<500ms, tpot p95<30ms"
      planner size qwen3-32b --workload rag --have "2x p5.48xlarge"
      planner size qwen3-32b --workload chat --budget "10000$/month"
      planner size qwen3-32b --workload batch-extraction --nobody-waits --window 8
      planner size qwen3-32b --workload chat --emit kubernetes > serve.yaml
    """
    if have is not None and (machines or budget is not None):
        raise click.UsageError("--have asks about machines that are there; leave out --machine and --budget")
    asked = workload.read()
    if nobody_waits:
        if workload.overrides.objectives is not None:
            raise click.UsageError("--nobody-waits drops the objectives; leave out --slo")
        asked = replace(asked, objectives=())
    question = SizingQuestion(
        engines=engines,
        quantizations=quantizations,
        limits=tuple(
            Limits(max_sequences=n, max_batched_tokens=tokens)
            for n in max_seqs or (None,)
            for tokens in max_batched_tokens or (None,)
        ),
        cache_type=cache_type,
        max_model_len=context,
        n_spare_machines=spares if spares is not None else 1 if asked.availability is not None else 0,
        sized_for=confidence,
        years_ahead=years,
        window=Window(hours_per_day=window, stops_when_idle=deal in ("on-demand", "spot") and not always_on),
        usd_per_month=budget,
    )
    offered = api.offered_machines(machines, have, deal)
    with patient_progress("Sizing") as progress:
        plan = api.size(
            ref,
            asked,
            question,
            machines=offered,
            are_named=bool(machines or have),
            assume=assume,
            progress=progress,
        )
    option = deploy.option(plan)
    if option is None:
        render(size_document(plan, explain=explain), output_format)
        if deploy.emitted is not None:
            raise click.ClickException("nothing serves it, so there is nothing to emit")
        return
    text = deploy.file_text(option)
    if text is not None and deploy.out is None:
        click.echo(text, nl=False)
        return
    document = size_document(
        plan,
        explain=explain,
        chosen=option,
        proof=api.proof_command(option, asked),
        purchases=deploy.purchases(option),
    )
    if text is not None:
        document = replace(document, notes=(*document.notes, f"written: {deploy.write(text)}"))
    render(document, output_format)
