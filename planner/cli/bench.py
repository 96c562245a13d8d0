"""`planner bench` and its commands."""

import click

from planner.cli.lazy_group import LazyGroup

COMMANDS = {
    "run": ("planner.cli.bench_run", "Measure a model; the word may be left out."),
    "ollama": ("planner.cli.bench_ollama", "Measure a model in a running Ollama."),
    "list": ("planner.cli.bench_list", "The benchmarks that are kept."),
    "show": ("planner.cli.bench_show", "One of them, with every test."),
    "compare": ("planner.cli.bench_compare", "Two or more, test by test."),
    "export": ("planner.cli.bench_export", "Write some as llama-bench would have printed them."),
    "import": ("planner.cli.bench_import", "Keep what llama-bench printed, or a run from elsewhere."),
    "rm": ("planner.cli.bench_rm", "Remove some for good."),
}
_HELP = ("-h", "--help")


class BenchGroup(LazyGroup):
    """A group whose first command need not be named: `planner bench FILE` runs FILE."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Puts the command's word in front of anything that is not one."""
        if args and args[0] not in self.modules and args[0] not in _HELP:
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group("bench", cls=BenchGroup, modules=COMMANDS)
def command() -> None:
    """Measure models in llama.cpp, and keep what was measured: later estimates on this machine use it.

    \b
    Examples:
      planner bench model.gguf
      planner bench qwen3-8b --synthetic
      planner bench list
      planner bench compare last 3f2a
    """
