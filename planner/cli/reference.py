"""Writes docs/cli.md from the commands themselves: `python -m planner.cli.reference docs/cli.md`."""

import sys
from pathlib import Path

import click

from planner.cli.main import COMMANDS, planner

_WIDTH = 100


def reference() -> str:
    """The page: every command's help text, as `--help` prints it at a fixed width."""
    parts = [
        "# Command reference",
        "Generated from the code by `make docs`; a test fails when it is stale.",
        _help_of(planner, "planner"),
    ]
    root = click.Context(planner, info_name="planner")
    for name in COMMANDS:
        command = planner.get_command(root, name)
        assert command is not None
        parts += [f"## planner {name}", _help_of(command, f"planner {name}")]
        if isinstance(command, click.Group):
            for inner_name in command.list_commands(root):
                inner = command.get_command(root, inner_name)
                assert inner is not None
                full = f"planner {name} {inner_name}"
                parts += [f"### {full}", _help_of(inner, full)]
    return "\n\n".join(parts) + "\n"


def _help_of(command: click.Command, name: str) -> str:
    context = click.Context(
        command,
        info_name=name,
        terminal_width=_WIDTH,
        max_content_width=_WIDTH,
        help_option_names=["-h", "--help"],
    )
    return f"```\n{command.get_help(context)}\n```"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference(), encoding="utf-8")
