"""`planner evaluate`."""

import json
import os
from pathlib import Path

import click

from planner import api
from planner.api.evaluating import evaluation_rows
from planner.cli.options import format_option, mendable_errors
from planner.cli.progress import progress_bar
from planner.cli.render import render
from planner.cli.report_files import write_all
from planner.evaluate.asking import Asking
from planner.report.evaluation_document import evaluation_document


@click.command("evaluate")
@click.argument("url")
@click.argument("tasks", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--model", default=None, help="The model's name, where the server has several.")
@click.option("--api-key-env", metavar="NAME", default=None,
              help="The environment variable that holds the server's key; none is sent without it.")  # fmt: skip
@click.option("--attempts", "n_attempts", type=click.IntRange(1, 100), default=1, show_default=True,
              help="How often a task may be tried until its check passes.")  # fmt: skip
@click.option(
    "--concurrency", type=click.IntRange(1, 256), default=4, show_default=True, help="Tasks at once."
)
@click.option("--max-tokens", type=click.IntRange(1, 999_999), default=1024, show_default=True,
              help="Tokens of an answer at most, thinking included.")  # fmt: skip
@click.option("--temperature", type=click.FloatRange(0, 2), default=0.0, show_default=True,
              help="How freely tokens are drawn; 0 makes attempts alike.")  # fmt: skip
@click.option("--timeout", "timeout_s", type=click.FloatRange(1, 86_400), default=300.0, show_default=True,
              help="Seconds to wait for one answer.")  # fmt: skip
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=None,
              help="Keep a row for each task in this JSON file, for planner cost solved.")  # fmt: skip
@format_option
@mendable_errors
def command(
    url: str,
    tasks: Path,
    model: str | None,
    api_key_env: str | None,
    n_attempts: int,
    concurrency: int,
    max_tokens: int,
    temperature: float,
    timeout_s: float,
    out: Path | None,
    output_format: str,
) -> None:
    """Ask a server your own tasks and check the answers: how many a model solves.

    TASKS has a JSON object on each line: a prompt (or messages) and a check of the answer.

    \b
    Examples:
      planner evaluate http://localhost:8000 tasks.jsonl
      planner evaluate https://api.example.com tasks.jsonl --model NAME --api-key-env KEY --out results.json
    """
    key = None
    if api_key_env is not None:
        key = os.environ.get(api_key_env)
        if not key:
            raise click.UsageError(f"the environment variable {api_key_env} of --api-key-env is not set")
    asking = Asking(
        model=model, api_key=key, n_attempts=n_attempts, concurrency=concurrency, max_tokens=max_tokens,
        temperature=temperature, timeout_s=timeout_s,
    )  # fmt: skip
    with progress_bar("Evaluation") as progress:
        found = api.evaluate(url, tasks, asking, progress=progress)
    rows = evaluation_rows(found)
    if out is not None:
        write_all(out.parent, {out.name: json.dumps(list(rows), indent=1) + "\n"})
    render(evaluation_document(found.model, found.name, found.results, rows), output_format)
