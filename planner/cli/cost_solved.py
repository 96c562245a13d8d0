"""`planner cost solved`."""

from datetime import datetime
from pathlib import Path

import click

from planner import api
from planner.cli.options import format_option, mendable_errors
from planner.cli.price_options import at_option, price_file_option
from planner.cli.render import render
from planner.report.solved_document import solved_document

_MOST_USD = 99_999.0  # of one attempt


@click.command("solved")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--minutes", type=click.FloatRange(min=0), default=None,
              help="That a person takes to repair a failure; those of the file when left out.")  # fmt: skip
@click.option("--wage", "usd_per_hour", type=click.FloatRange(min=0), default=None, show_default="user_usd_per_hour",
              help="Dollars an hour of that person.")  # fmt: skip
@click.option(
    "--usd", "usd", metavar="MODEL=DOLLARS", multiple=True, help="What an attempt of a model costs."
)
@click.option("--price-as", "price_of", metavar="MODEL=PROVIDER/MODEL", multiple=True,
              help="Whose price a model's tokens have, where its name in the file is none.")  # fmt: skip
@at_option
@price_file_option
@format_option
@mendable_errors
def command(
    files: tuple[Path, ...],
    minutes: float | None,
    usd_per_hour: float | None,
    usd: tuple[str, ...],
    price_of: tuple[str, ...],
    at: datetime | None,
    price_file: Path | None,
    output_format: str,
) -> None:
    """What a solved task costs with each model, people's repairs included, and whether the dearer model pays.

    FILES are results of lm-evaluation-harness, logs of Inspect in JSON, or rows of your own (docs/costs.md).

    \b
    Examples:
      planner cost solved cheap.json dear.json --minutes 10 --wage 60
      planner cost solved results.csv --usd "Qwen/Qwen3-8B=0.0004" --minutes 5
    """
    found = api.cost_solved(
        files,
        minutes=minutes,
        usd_per_hour=usd_per_hour,
        usd_per_attempt={model: _dollars(text, number) for model, number, text in map(_pair, usd)},
        price_of={model: name for model, name, _ in map(_pair, price_of)},
        at=at,
        price_file=price_file,
    )
    render(solved_document(found), output_format)


def _pair(text: str) -> tuple[str, str, str]:
    model, equals, value = text.rpartition("=")
    if not (equals and model.strip() and value.strip()):
        raise click.UsageError(f"{text[:80]!r} is not MODEL=VALUE")
    return model.strip(), value.strip(), text


def _dollars(text: str, number: str) -> float:
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if not 0 <= value <= _MOST_USD:
        raise click.UsageError(f"{text[:80]!r} names no price in dollars")
    return value
