"""`planner workload learn`."""

from pathlib import Path

import click

from planner import api
from planner.cli.options import format_option, mendable_errors
from planner.cli.render import render
from planner.report.learned_document import learned_document


@click.command("learn")
@click.argument("log", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default=None,
              help="Write the workload to this file (TOML), for --workload of other commands.")  # fmt: skip
@click.option("--name", default=None, help="Its name; that of the log when left out.")
@format_option
@mendable_errors
def command(log: Path, out: Path | None, name: str | None, output_format: str) -> None:
    """Learn a workload from a request log: lengths, shared beginnings, hours and days, burstiness.

    CSV or JSON lines with a time and token counts: a log of OpenAI's or Anthropic's `usage`, Azure's, BurstGPT's or
    Mooncake's traces, or columns arrival_s, n_prompt_tokens, n_output_tokens. What was said is neither needed nor kept.

    \b
    Examples:
      planner workload learn requests.jsonl --out mine.toml
      planner workload learn AzureLLMInferenceTrace_conv.csv --format json
    """
    render(learned_document(api.learn_workload(log, name=name, to=out), log, out), output_format)
