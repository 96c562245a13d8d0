"""`planner model`."""

import click

from planner import api
from planner.cli.options import TOKENS, assume_option, format_option, mendable_errors, reference_argument
from planner.cli.progress import patient_progress
from planner.cli.render import render
from planner.report.model_document import model_document


@click.command("model")
@reference_argument()
@click.option("--context", type=TOKENS, default=None, help="Context to size the cache for, such as 64k.")
@assume_option
@format_option
@mendable_errors
def command(ref: str, context: int | None, assume: tuple[str, ...], output_format: str) -> None:
    """Show what a network is, from its headers alone.

    REF is a GGUF file (any part of a split one), a folder with config.json, a config.json, a hub
    repository ORG/NAME, ollama:NAME, or a name from the catalogue. No weights are downloaded.

    \b
    Examples:
      planner model qwen3-30b-a3b --context 128k
      planner model openai/gpt-oss-20b --format json
    """
    with patient_progress("Reading") as progress:
        opened = api.open_model_with_card(ref, assume, progress)
    render(model_document(opened, context), output_format)
