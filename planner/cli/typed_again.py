"""The command line that gave an answer, so that a report says how to make it again."""

import shlex
from collections.abc import Collection
from datetime import datetime
from typing import Any

import click
from click.core import ParameterSource


def typed_again(ctx: click.Context, leave_out: Collection[str] = ()) -> str:
    """The command with what was given on the line; options in `leave_out`, by their parameters' names, are not repeated."""
    words = ctx.command_path.split()
    for parameter in ctx.command.params:
        name = parameter.name or ""
        if name in leave_out or ctx.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        value = ctx.params.get(name)
        if isinstance(parameter, click.Argument):
            words += [str(value)]
        elif getattr(parameter, "is_flag", False):
            words += [parameter.opts[0]] if value else list(parameter.secondary_opts[:1])
        else:
            repeated = value if getattr(parameter, "multiple", False) and value is not None else (value,)
            for one in repeated:
                words += [
                    parameter.opts[-1] if parameter.opts[-1].startswith("--") else parameter.opts[0],
                    _text(one),
                ]
    return shlex.join(words)


def _text(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return ",".join(_text(one) for one in value)
    return value.isoformat(timespec="minutes") if isinstance(value, datetime) else str(value)
