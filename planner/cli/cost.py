"""`planner cost` and its commands."""

import click

from planner.cli.lazy_group import LazyGroup

COMMANDS = {
    "levers": (
        "planner.cli.cost_levers",
        "One answer at every setting of model, samples, thinking, context.",
    ),
    "agent": ("planner.cli.cost_agent", "An agent's task: expected, and at the worst under limits."),
    "pipeline": ("planner.cli.cost_pipeline", "Several models one after the other, each own or hosted."),
    "solved": ("planner.cli.cost_solved", "A solved task, people's repairs included, from evaluations."),
}


@click.group("cost", cls=LazyGroup, modules=COMMANDS)
def command() -> None:
    """What answers, agents, pipelines and solved tasks cost; `planner compare` compares whole workloads.

    \b
    Examples:
      planner cost levers
      planner cost agent --workload coding-agent --api openai/gpt-5.6-luna --spend-limit 2
      planner cost pipeline pipeline.toml
      planner cost solved cheap.json dear.json --minutes 10 --wage 60
    """
