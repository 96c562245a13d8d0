"""Options with which a person fixes where layers go, and a whole `llama-server` command to be judged."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from planner.engines.ik_llama_cpp.command_line import CommandLine, parse
from planner.engines.llama_cpp import TensorOverride
from planner.engines.llama_cpp.given_split import FREE, GivenSplit
from planner.engines.llama_cpp.server_command import given_split_of

F = TypeVar("F", bound=Callable[..., Any])
_SPLIT_MODES = ("layer", "row", "tensor", "none")


class Shares(click.ParamType[tuple[float, ...]]):
    """Numbers with commas between them, as -ts takes."""

    name = "SHARE[,…]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """The shares, or a usage error that shows how to write them."""
        if isinstance(value, tuple):
            return value
        try:
            shares = tuple(float(part) for part in str(value).replace("/", ",").split(","))
        except ValueError:
            shares = ()
        if not any(shares) or min(shares) < 0:
            self.fail(f"{value!r} is not a list of shares, such as 3,1", param, ctx)
        return shares


class Override(click.ParamType[TensorOverride]):
    """PATTERN=DEVICE, as -ot takes."""

    name = "PATTERN=DEVICE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> TensorOverride:
        """The override, or a usage error that shows how to write it."""
        if isinstance(value, TensorOverride):
            return value
        pattern, equals, device = str(value).rpartition("=")
        if not (pattern and equals and device):
            self.fail(rf"{value!r} is not PATTERN=DEVICE, such as 'ffn_.*_exps=CPU'", param, ctx)
        return TensorOverride(pattern=pattern, device=device)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a person fixed: by options, or by a command line to be judged."""

    given: GivenSplit = FREE
    command: CommandLine | None = None


def placement_options(command: F) -> F:
    """--gpu-layers, --n-cpu-moe, --tensor-split, --split-mode, --override-tensor and --command, as one `wanted`."""

    @click.option("--gpu-layers", "-ngl", type=click.IntRange(0), default=None,
                  help="Fix how many layers go to the GPUs, the output head counted as one.")  # fmt: skip
    @click.option("--n-cpu-moe", "-ncmoe", type=click.IntRange(0), default=None,
                  help="Fix how many layers keep their experts in RAM.")  # fmt: skip
    @click.option("--tensor-split", "-ts", type=Shares(), default=None,
                  help="Fix the shares of the GPUs, such as 3,1.")  # fmt: skip
    @click.option("--split-mode", "-sm", type=click.Choice(_SPLIT_MODES), default=None,
                  help="Fix how several GPUs share the model: whole layers, rows of matrices, or parts of every layer; none uses one.")  # fmt: skip
    @click.option("--override-tensor", "-ot", "overrides", type=Override(), multiple=True,
                  help="Fix where tensors go whose names match, such as 'ffn_.*_exps=CPU'.")  # fmt: skip
    @click.option("--command", "command_text", metavar="TEXT", default=None,
                  help="Judge a whole command line of llama-server, vllm serve or SGLang: its context, cache and placement.")  # fmt: skip
    @functools.wraps(command)
    def wrapped(
        *args: Any,
        gpu_layers: int | None,
        n_cpu_moe: int | None,
        tensor_split: tuple[float, ...] | None,
        split_mode: Any,
        overrides: tuple[TensorOverride, ...],
        command_text: str | None,
        **kwargs: Any,
    ) -> Any:
        given = GivenSplit(
            n_gpu_layers=gpu_layers, n_cpu_moe=n_cpu_moe, tensor_split=tensor_split, mode=split_mode,
            overrides=overrides,
        )  # fmt: skip
        if command_text is None:
            return command(*args, wanted=Wanted(given=given), **kwargs)
        if not given.is_free:
            raise click.UsageError(
                "--command already says where layers go; leave out the other placement options"
            )
        line = parse(command_text)
        if line == CommandLine():
            raise click.UsageError(
                f"{command_text[:60]!r} is no command line of llama-server, vllm serve or SGLang; "
                "paste it whole, for example 'llama-server -m model.gguf -c 32768 -ngl 20'"
            )
        return command(*args, wanted=Wanted(given=given_split_of(line), command=line), **kwargs)

    return wrapped  # type: ignore[return-value]
