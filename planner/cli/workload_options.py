"""Options that say what is asked of a model: a workload by name or file, and figures that replace its own."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from planner import api
from planner.cli.length_type import LengthType
from planner.readers.workload_file import MOST_SAMPLES, MOST_TASKS_PER_S, MOST_USERS
from planner.workload.overrides import NO_OVERRIDES, Overrides
from planner.workload.slo import parse_slo
from planner.workload.workload import Objective, Workload

F = TypeVar("F", bound=Callable[..., Any])


class SloType(click.ParamType[tuple[Objective, ...]]):
    """Service objectives with commas between them."""

    name = "OBJECTIVES"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Objective, ...]:
        """The objectives, or a usage error that shows how to write them."""
        if isinstance(value, tuple):
            return value
        try:
            return parse_slo(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadChoice:
    """A workload that was chosen but not read yet."""

    ref: str | None
    overrides: Overrides = NO_OVERRIDES

    def read(self, otherwise: str = "chat") -> Workload:
        """The workload; without --workload that of the given name."""
        return api.workload_for(self.ref or otherwise, self.overrides)


def _complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    names = [CompletionItem(name) for name in api.workload_names() if name.startswith(incomplete)]
    return [*names, CompletionItem(incomplete, type="file")]


def workload_options(command: F) -> F:
    """--workload, --rps, --users, --prompt-tokens, --output-tokens, --thinking-tokens, --shared-prefix-tokens,
    --samples and --slo, as one `workload` (a WorkloadChoice).
    """

    @click.option("--workload", "workload_ref", metavar="NAME|FILE", default=None, shell_complete=_complete,
                  help="What is asked: chat, rag, coding-agent, batch-extraction, reasoning, voice, or a file.")  # fmt: skip
    @click.option("--rps", type=click.FloatRange(0, MOST_TASKS_PER_S, min_open=True), default=None,
                  help="Tasks per second, the mean over a week: requests, or runs of an agent.")  # fmt: skip
    @click.option("--users", type=click.IntRange(1, MOST_USERS), default=None,
                  help="Users that each wait for an answer before they ask again, in place of --rps.")  # fmt: skip
    @click.option("--prompt-tokens", type=LengthType(), default=None,
                  help="Prompt tokens: 512, 256-1024 or lognormal:MEDIAN:SIGMA.")  # fmt: skip
    @click.option("--output-tokens", type=LengthType(), default=None,
                  help="Answer tokens, in the same forms.")  # fmt: skip
    @click.option("--thinking-tokens", type=LengthType(least=0), default=None,
                  help="Tokens of thinking before the answer; 0 for none.")  # fmt: skip
    @click.option("--shared-prefix-tokens", type=click.IntRange(0), default=None,
                  help="Tokens that all prompts begin with, which a prefix cache reads once.")  # fmt: skip
    @click.option("--samples", type=click.IntRange(1, MOST_SAMPLES), default=None,
                  help="Answers made in parallel for each call.")  # fmt: skip
    @click.option("--slo", type=SloType(), default=None,
                  help='What must be kept to, such as "ttft p95<1s, tpot p95<40ms".')  # fmt: skip
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        workload_ref: str | None,
        rps: float | None,
        users: int | None,
        prompt_tokens: Any,
        output_tokens: Any,
        thinking_tokens: Any,
        shared_prefix_tokens: int | None,
        samples: int | None,
        slo: tuple[Objective, ...] | None,
        **kwargs: Any,
    ) -> Any:
        if rps is not None and users is not None:
            raise click.UsageError("--rps and --users are two ways to say how much is asked; give one")
        choice = WorkloadChoice(
            ref=workload_ref,
            overrides=Overrides(
                tasks_per_s=rps,
                concurrency=users,
                prompt=prompt_tokens,
                output=output_tokens,
                thinking=thinking_tokens,
                shared_prefix_tokens=shared_prefix_tokens,
                samples=samples,
                objectives=slo,
            ),
        )
        return command(*args, workload=choice, **kwargs)

    return wrapped  # type: ignore[return-value]
