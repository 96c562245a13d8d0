"""`planner price` and its commands."""

import click

from planner.cli.lazy_group import LazyGroup

COMMANDS = {
    "show": ("planner.cli.price_show", "What a model costs at its hosts; the word may be left out."),
    "table": ("planner.cli.price_table", "The main closed and open models beside each other."),
    "history": ("planner.cli.price_history", "How a price went."),
    "call": ("planner.cli.price_call", "What one call costs, term by term."),
    "update": ("planner.cli.price_update", "Fetch the newest price list."),
}
_HELP = ("-h", "--help")


class PriceGroup(LazyGroup):
    """A group whose first command need not be named: `planner price MODEL` shows MODEL."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Puts the command's word in front of anything that is not one."""
        if not args or (args[0] not in self.modules and args[0] not in _HELP):
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group("price", cls=PriceGroup, modules=COMMANDS)
def command() -> None:
    """Show what API tokens cost, with source and date.

    Without a command, shows: `planner price gpt-oss-120b` is `planner price show gpt-oss-120b`.

    \b
    Examples:
      planner price gpt-oss-120b
      planner price table --kind open --sort score
      planner price history o3
      planner price call deepseek deepseek-v4-flash --prompt-tokens 100k --at 2026-11-21T02:00
    """
