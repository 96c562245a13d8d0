"""Options and value types that several commands share."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from hardware.units import parse_tokens
from planner.cli.render import FORMATS
from planner.errors import USER_ERRORS

F = TypeVar("F", bound=Callable[..., Any])


class TokenCount(click.ParamType[int]):
    """A number of tokens: 8192, 64k, 1M."""

    name = "tokens"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number, or a usage error that shows how to write it."""
        if isinstance(value, int):
            return value
        try:
            return parse_tokens(str(value))
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


TOKENS = TokenCount()


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
    """--on, a machine in words."""
    return click.option(
        "--on", metavar="MACHINE", default=None,
        help='A machine you do not own, such as "2x RTX 4090, 64GiB DDR5-5600"; this one when left out.',
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
