"""`planner validate` and its commands."""

import click

from planner.cli.lazy_group import LazyGroup

COMMANDS = {
    "memory": ("planner.cli.validate_memory", "What engines allocated, by device and component."),
    "speed": ("planner.cli.validate_speed", "How fast engines ran, and whether the intervals hold."),
}


@click.group("validate", cls=LazyGroup, modules=COMMANDS)
def command() -> None:
    """Hold the planner against what somebody measured: errors by engine, component and model.

    docs/accuracy.md is written from the same figures.

    \b
    Examples:
      planner validate memory logs.csv
      planner validate memory logs.csv --rows predictions.csv --format json
      planner validate speed latencies.csv
    """
