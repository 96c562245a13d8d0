"""`planner`: finds the command's own file, and turns errors a person can mend into one line.

Commands are imported only when they run, so that `planner --help` answers at once.
"""

import gc
import sys
from collections.abc import Sequence

import click

from planner.cli.lazy_group import LazyGroup

_OBJECTS_BEFORE_COLLECTING = 100_000

# name → module and the line `planner --help` shows; the modules hold a click command named `command`.
COMMANDS = {
    "hardware": ("planner.cli.hardware", "What this machine is and what is free; --measure its memory."),
    "model": ("planner.cli.model", "What a network is: parameters, layers, experts, quantization, cache."),
    "models": ("planner.cli.models", "The catalogue, filtered and searched; add models of your own."),
    "fit": ("planner.cli.fit", "Does it fit, how fast, with which flags; without a name: what fits here."),
    "sweep": ("planner.cli.sweep", "Size many models on many machines, on all cores or a Ray cluster."),
    "workload": ("planner.cli.workload", "What is asked: presets, one with its sources, one from a log."),
    "simulate": ("planner.cli.simulate", "Serve a workload on a machine, simulated step by step."),
    "size": ("planner.cli.size", "How many of which machine a workload needs, started how, at what cost."),
    "tune": ("planner.cli.tune", "What fine-tuning needs: full, LoRA and QLoRA, on one GPU or many."),
    "bench": ("planner.cli.bench", "Measure a GGUF file in llama.cpp; later estimates use it."),
    "load": ("planner.cli.load", "Load a server: latencies, throughput, and where it saturates."),
    "evaluate": ("planner.cli.evaluate", "How many of your own tasks a model solves, asked of a server."),
    "calibrate": ("planner.cli.calibrate", "Teach measured speeds to the estimates."),
    "decide": ("planner.cli.decide", "Which model, open or closed, and whose machine: a few questions."),
    "price": ("planner.cli.price", "What API tokens cost, with source and date."),
    "cost": ("planner.cli.cost", "What answers, agents, pipelines and solved tasks cost."),
    "compare": ("planner.cli.compare", "Own machines against APIs: month, years, what decides, how sure."),
    "validate": (
        "planner.cli.validate",
        "How far off the planner is on memory and speed that others recorded.",
    ),
    "report": ("planner.cli.report", "All of it in one document: HTML, Markdown and JSON."),
    "completion": ("planner.cli.completion", "Print the completion script for your shell."),
}


@click.group(
    cls=LazyGroup,
    modules=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `planner hardware`, then `planner fit`.",
)
@click.version_option(package_name="llm-capacity-planner", prog_name="planner")
def planner() -> None:
    """What fits on which machine, how fast, at what cost: open-weight language models.

    REF, where a command asks for it, is a GGUF file, a folder with config.json, a hub repository
    (ORG/NAME), ollama:NAME, or a name from the catalogue.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """The installed command; exits 0, 1 for what a person can mend, 2 for usage, 130 for Ctrl-C."""
    # Profiles are hundreds of thousands of objects that stay: looking for cycles among them again and again took a
    # fifth of a list's time.
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTING, 20, 20)
    try:
        status = planner.main(
            args=None if arguments is None else list(arguments), prog_name="planner", standalone_mode=False
        )
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of a pipe has gone (`planner price | head`): nothing more to say, and no traceback.
        sys.stderr.close()
        sys.exit(0)
    sys.exit(status if isinstance(status, int) else 0)
