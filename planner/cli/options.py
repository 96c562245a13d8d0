"""Options and value types that several commands share."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from hardware.units import parse_count, parse_size_bytes, parse_tokens
from planner.cli.render import FORMATS
from planner.errors import USER_ERRORS
from profiles.errors import ProfileError
from profiles.loader import model_rows, packaged_model_rows

F = TypeVar("F", bound=Callable[..., Any])


class Quantity(click.ParamType[int]):
    """A whole number that may be written with a unit, such as 64k tokens or 24GiB."""

    def __init__(self, name: str, parse: Callable[[str], int]):
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number, or a usage error that shows how to write it."""
        if isinstance(value, int):
            return value
        try:
            return self._parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class CommaList(click.ParamType[tuple[Any, ...]]):
    """Values of another type with commas between them."""

    name = "list"

    def __init__(self, of: click.ParamType[Any], metavar: str):
        self.of = of
        self.metavar = metavar

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """What the help shows in place of the value."""
        return self.metavar

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Any, ...]:
        """Each part converted by the inner type."""
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in str(value).split(",")]
        if not all(parts):
            self.fail(f"{value!r} has an empty part between commas", param, ctx)
        return tuple(self.of.convert(part, param, ctx) for part in parts)


class Assumption(click.ParamType[str]):
    """PART=KIND; what parts and kinds there are is the reader's to say."""

    name = "PART=KIND"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text itself, or a usage error for one without both sides."""
        part, equals, kind = str(value).partition("=")
        if not (part.strip() and equals and kind.strip()):
            self.fail(
                f"{value!r} is not PART=KIND, such as mlp=gated, architecture=llama or FIELD=ignored",
                param,
                ctx,
            )
        return str(value)


TOKENS = Quantity("tokens", parse_tokens)
SIZE = Quantity("size", parse_size_bytes)
COUNT = Quantity("count", parse_count)


def complete_model(
    _ctx: click.Context, _param: click.Parameter | None, incomplete: str
) -> list[CompletionItem]:
    """Names of the catalogue that go on from what was typed."""
    try:
        models = model_rows()
    except ProfileError:  # the shell shows nothing of what is written here; the command itself will say it
        models = packaged_model_rows()
    typed = incomplete.casefold()
    return [CompletionItem(model["id"]) for model in models if model["id"].startswith(typed)]


def _complete_reference(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of the catalogue, and files, which the shell finds itself."""
    return [*complete_model(ctx, param, incomplete), CompletionItem(incomplete, type="file")]


def reference_argument(*, required: bool = True) -> Callable[[F], F]:
    """REF, a model: a path, a repository or a name of the catalogue, which the shell can complete."""
    return click.argument("ref", required=required, shell_complete=_complete_reference)


def assume_option(command: F) -> F:
    """--assume, for models with parts that the planner does not know."""
    return click.option(
        "--assume", "assume", multiple=True, type=Assumption(),
        help="Read a part that the planner does not know as this kind; its error messages name the parts.",
    )(command)  # fmt: skip


def format_option(command: F) -> F:
    """--format, the same everywhere."""
    return click.option(
        "--format", "output_format", type=click.Choice(FORMATS), default="table", show_default=True,
        help="How to print the answer.",
    )(command)  # fmt: skip


def on_option(command: F) -> F:
    """--on, a machine in words, a file or a fleet."""
    return click.option(
        "--on", metavar="MACHINE", default=None,
        help='A machine you do not own, such as "2x RTX 4090, 64GiB DDR5-5600"; a file that planner hardware '
        "--format json wrote; fleet:PATH, a folder of those or a fleet's file; this machine when left out.",
    )(command)  # fmt: skip


def mendable_errors(command: F) -> F:
    """Turns errors that a person can put right into one line and exit 1; a bug keeps its traceback."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except USER_ERRORS as error:
            raise click.ClickException(" ".join(str(error).split())) from error

    return wrapped  # type: ignore[return-value]
