"""`planner decide`."""

import functools
import json
import sys
from pathlib import Path
from typing import Any

import click

from planner import api
from planner.cli.options import format_option, mendable_errors, on_option
from planner.cli.progress import progress_bar
from planner.cli.render import render, wrapped
from planner.cli.report_files import write_all
from planner.decide.answers import Answers
from planner.decide.questions import QUESTIONS, Question, answers_of, as_given
from planner.readers.answers_file import read_given
from planner.report.decide_document import decide_document


class KeyValue(click.ParamType[tuple[str, str]]):
    """KEY=ANSWER."""

    name = "KEY=ANSWER"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Both sides, or a usage error."""
        if isinstance(value, tuple):
            return value
        key, equals, answer = str(value).partition("=")
        if not (key.strip() and equals):
            self.fail(f"{value!r} is not KEY=ANSWER, such as data=own", param, ctx)
        return key.strip(), answer.strip()


@click.command("decide")
@click.option(
    "--answers",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Answers from a TOML or JSON file; nothing is asked then.",
)
@click.option(
    "--set",
    "given",
    type=KeyValue(),
    multiple=True,
    help="One answer, over the file's; nothing is asked then. May be repeated.",
)
@on_option
@click.option(
    "--save",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Keep the answers in this JSON file, to be given with --answers.",
)
@format_option
@mendable_errors
def command(
    file: Path | None,
    given: tuple[tuple[str, str], ...],
    on: str | None,
    save: Path | None,
    output_format: str,
) -> None:
    """Choose a model: a few questions, then a short list, how to run it, and what would change it.

    \b
    Examples:
      planner decide
      planner decide --answers answers.toml --format json
      planner decide --set data=own --set priority=quality --on "RTX 4090, 64GiB"
    """
    if file is None and not given:
        if not (sys.stdin.isatty() and output_format == "table"):
            raise click.UsageError("nobody is here to be asked: give --answers FILE, or --set KEY=ANSWER")
        answers = _asked(on)
    else:
        said: dict[str, Any] = {} if file is None else read_given(file)
        said |= dict(given)
        if on is not None:
            said["machine"] = on
        answers = answers_of(said, "answers" if file is None else str(file))
    if save is not None:
        write_all(save.parent, {save.name: json.dumps(as_given(answers), indent=2) + "\n"}, "--save")
    with progress_bar("Models") as progress:
        decision, workload = api.choose(answers, progress=progress)
    render(decide_document(decision, workload, api.benchmarks_known()), output_format)


def _asked(on: str | None) -> Answers:
    """The questions, one after the other; an answer that is not understood is asked for again."""
    said = as_given(Answers())
    said["machine"] = "this"
    for question in QUESTIONS:
        if question.key == "machine" and on is not None:
            said["machine"] = on
            continue
        click.echo()
        click.echo(wrapped(question.why))
        said[question.key] = click.prompt(
            question.ask,
            default=_shown(said[question.key]),
            value_proc=functools.partial(_read, question),
        )
    click.echo()
    return answers_of(said, "your answers")


def _read(question: Question, text: str) -> str:
    try:
        question.read(text)
    except ValueError as error:
        raise click.BadParameter(f"expected {error}") from error
    return text


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
