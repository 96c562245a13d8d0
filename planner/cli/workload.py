"""`planner workload` and its commands."""

import click

from planner.cli.lazy_group import LazyGroup

COMMANDS = {
    "list": ("planner.cli.workload_list", "The presets, packaged and your own."),
    "show": ("planner.cli.workload_show", "One with every figure, its source, and what it comes to."),
    "learn": ("planner.cli.workload_learn", "One from a request log or a public trace."),
}


@click.group("workload", cls=LazyGroup, modules=COMMANDS)
def command() -> None:
    """What is asked of a model: lengths, arrivals, agents, objectives.

    \b
    Examples:
      planner workload list
      planner workload show coding-agent
      planner workload learn requests.jsonl --out mine.toml
    """
