"""`planner cost agent`."""

from datetime import datetime
from pathlib import Path

import click

from planner import api
from planner.cli.options import format_option, mendable_errors
from planner.cli.price_options import at_option, price_file_option
from planner.cli.render import render
from planner.cli.workload_options import WorkloadChoice, workload_options
from planner.report.agent_cost_document import agent_cost_document


@click.command("agent")
@workload_options
@click.option("--api", "apis", metavar="PROVIDER/MODEL", multiple=True, required=True,
              help="An API; may be given several times.")  # fmt: skip
@click.option("--spend-limit", "spend_limit_usd", type=click.FloatRange(0, min_open=True), default=None,
              help="Dollars after which a task is stopped.")  # fmt: skip
@at_option
@price_file_option
@click.option(
    "--seed", type=click.IntRange(0, 2**31), default=0, show_default=True, help="Of the drawn tasks."
)
@format_option
@mendable_errors
def command(
    workload: WorkloadChoice,
    apis: tuple[str, ...],
    spend_limit_usd: float | None,
    at: datetime | None,
    price_file: Path | None,
    seed: int,
    output_format: str,
) -> None:
    """What a task costs at an API: mean, one in twenty, one in a hundred, and at the worst under limits.

    Limits of steps and tokens are the workload's.

    \b
    Examples:
      planner cost agent --workload coding-agent --api openai/gpt-5.6-luna
      planner cost agent --workload coding-agent --api openai/gpt-5.6-luna --spend-limit 0.5
    """
    asked = workload.read("coding-agent")
    found = api.cost_agent(
        asked,
        apis,
        at=at,
        price_file=price_file,
        spend_limit_usd=spend_limit_usd,
        seed=seed,
    )
    render(agent_cost_document(asked, found), output_format)
