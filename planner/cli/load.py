"""`planner load`."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from planner import api
from planner.cli.length_type import LengthType
from planner.cli.options import CommaList, format_option, mendable_errors
from planner.cli.progress import progress_bar
from planner.cli.render import render
from planner.report.load_document import load_document
from planner.workload.lengths import Lengths

_PROMPT, _OUTPUT = "512", "128"


@click.command("load")
@click.argument("url")
@click.option("--model", default=None, help="The model's name, where the server has several.")
@click.option(
    "--call",
    type=click.Choice(["completions", "chat"]),
    default=None,
    help="Which of OpenAI's calls to use; the first that works when left out.",
)
@click.option(
    "--api-key-env",
    metavar="NAME",
    default=None,
    help="The environment variable that holds the server's key; none is sent without it.",
)
@click.option("--prompt", type=LengthType(), default=_PROMPT, show_default=True,
              help="Prompt tokens: 512, 256-1024 or lognormal:MEDIAN:SIGMA.")  # fmt: skip
@click.option("--output", type=LengthType(), default=_OUTPUT, show_default=True,
              help="Answer tokens, in the same forms.")  # fmt: skip
@click.option(
    "--concurrency",
    "concurrencies",
    type=CommaList(click.IntRange(1, 4096), "N,…"),
    default=(),
    help="Requests at once, one level after the other; doubled until it brings no more when left out.",
)
@click.option(
    "--rate",
    "rates",
    type=CommaList(click.FloatRange(0, 10_000, min_open=True), "R,…"),
    default=(),
    help="Requests per second that come at random (Poisson), whatever the server does with them.",
)
@click.option(
    "--trace",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="Times and lengths of a recorded trace: CSV or JSON lines (Azure, Mooncake, BurstGPT or our own columns).",
)
@click.option("--shared-prefix", type=click.IntRange(0), default=0, show_default=True,
              help="Tokens with which every prompt begins, for servers with a prefix cache.")  # fmt: skip
@click.option("--budget", "budget_s", type=click.FloatRange(1, 86_400), default=120.0, show_default=True,
              help="Seconds for the whole test.")  # fmt: skip
@click.option("--max-requests", type=click.IntRange(1), default=None,
              help="Requests of the whole test at most: hosted servers cost money.")  # fmt: skip
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="The same lengths and times for the same seed; words differ.",
)
@click.option("--device", default="", metavar="DEVICE",
              help='What serves it, such as "4x H100 SXM": later estimates of such a server then use the test.')  # fmt: skip
@click.option("--quant", "precision", default="", metavar="TYPE",
              help="The weights' precision (bf16, fp8, fp4), where not as published.")  # fmt: skip
@click.option("--no-save", is_flag=True, help="Do not keep the test.")
@format_option
@mendable_errors
def command(
    url: str,
    model: str | None,
    call: Any,
    api_key_env: str | None,
    prompt: Lengths,
    output: Lengths,
    concurrencies: tuple[int, ...],
    rates: tuple[float, ...],
    trace: Path | None,
    shared_prefix: int,
    budget_s: float,
    max_requests: int | None,
    seed: int,
    device: str,
    precision: str,
    no_save: bool,
    output_format: str,
) -> None:
    """Load a server that speaks OpenAI's protocol: latencies, throughput, and where it saturates.

    vLLM, SGLang, llama-server, LM Studio and hosted servers. Without --concurrency, --rate or --trace the number of
    requests at once is doubled until that brings no more. Ctrl-C ends it with what was measured. The test is kept;
    `planner bench list|show|compare|export|rm` know it.

    \b
    Examples:
      planner load http://localhost:8000
      planner load http://localhost:8000 --prompt 256-4096 --rate 1,2,4
      planner load http://localhost:8000 --device "H100 SXM"
      planner load http://localhost:8000 --trace trace.csv --max-requests 500
      planner load https://api.example.com --model NAME --api-key-env KEY
    """
    if sum(map(bool, (concurrencies, rates, trace))) > 1:
        raise click.UsageError("--concurrency, --rate and --trace are three ways to load a server; give one")
    key = None
    if api_key_env is not None:
        key = os.environ.get(api_key_env)
        if not key:
            raise click.UsageError(f"the environment variable {api_key_env} of --api-key-env is not set")
    with progress_bar("Load test") as progress:
        test = api.load_test(
            url,
            model=model,
            call=call,
            api_key=key,
            prompt=prompt,
            output=output,
            concurrencies=concurrencies,
            rates_per_s=rates,
            trace=trace,
            n_shared_prefix_tokens=shared_prefix,
            budget_s=budget_s,
            most_requests=max_requests,
            seed=seed,
            device=device,
            precision=precision,
            progress=progress,
        )
    kept = None if no_save else api.keep_load(test).id
    render(load_document(test, kept), output_format)
    if test.is_stopped:
        sys.exit(130)
