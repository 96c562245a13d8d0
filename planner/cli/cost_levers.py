"""`planner cost levers`."""

from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import click

from planner import api
from planner.cli.options import CommaList, format_option, mendable_errors
from planner.cli.price_options import at_option, price_file_option
from planner.cli.render import render
from planner.cli.report_files import write_all
from planner.cli.typed_again import typed_again
from planner.compare.levers import ANSWER_TOKENS, CONTEXT_TOKENS, SAMPLES, THINKING_TOKENS
from planner.report.costs.levers_page import levers_page
from planner.report.levers_document import levers_document

_COUNTS = CommaList(click.IntRange(0, 10_000_000), "N[,…]")


def _joined(values: tuple[int, ...]) -> str:
    return ",".join(map(str, values))


@click.command("levers")
@click.option("--api", "models", metavar="PROVIDER/MODEL", multiple=True,
              help="Models to compare; may be given several times. A small and a frontier one when left out.")  # fmt: skip
@click.option("--samples", type=CommaList(click.IntRange(1, 10_000), "N[,…]"), default=_joined(SAMPLES), show_default=True,
              help="Answers made for one question.")  # fmt: skip
@click.option("--thinking", type=_COUNTS, default=_joined(THINKING_TOKENS), show_default=True,
              help="Tokens of thinking before the answer.")  # fmt: skip
@click.option(
    "--context", type=_COUNTS, default=_joined(CONTEXT_TOKENS), show_default=True, help="Prompt tokens."
)
@click.option(
    "--answer",
    type=click.IntRange(1, 9_999_999),
    default=ANSWER_TOKENS,
    show_default=True,
    help="Answer tokens.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Write levers.html into this folder as well.",
)
@at_option
@price_file_option
@format_option
@mendable_errors
def command(
    models: tuple[str, ...],
    samples: tuple[int, ...],
    thinking: tuple[int, ...],
    context: tuple[int, ...],
    answer: int,
    out: Path | None,
    at: datetime | None,
    price_file: Path | None,
    output_format: str,
) -> None:
    """One answer at every setting of the four levers: the model, samples, thinking and context.

    \b
    Examples:
      planner cost levers
      planner cost levers --api google/gemini-2.5-flash-lite --api openai/o3-pro --context 2000,190000
      planner cost levers --out report/
    """
    found = api.cost_levers(
        models,
        at=at,
        price_file=price_file,
        samples=samples,
        thinking_tokens=thinking,
        context_tokens=context,
        output_tokens=answer,
    )
    written = []
    if out is not None:
        page = levers_page(
            found, command=typed_again(click.get_current_context(), ("out", "output_format")),
            planner_version=version("llm-capacity-planner"),
        )  # fmt: skip
        written = write_all(out, {"levers.html": page})
    render(levers_document(found), output_format)
    for path in written:
        click.echo(f"wrote {path.resolve()}", err=True)
