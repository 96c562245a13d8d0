"""Token counts on a command line: one length, a range or a distribution."""

from typing import Any

import click

from planner.workload.lengths import Lengths, parse_lengths


class LengthType(click.ParamType[Lengths]):
    """A length in tokens, or a distribution of lengths."""

    name = "LENGTH"

    def __init__(self, *, least: int = 1) -> None:
        self.least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Lengths:
        """The distribution, or a usage error that shows how to write it."""
        if isinstance(value, Lengths):
            return value
        try:
            return parse_lengths(str(value), least=self.least)
        except ValueError as error:
            self.fail(str(error), param, ctx)
