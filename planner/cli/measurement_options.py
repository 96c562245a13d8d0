"""Options for facts that measurement files leave out: device, model, engine and the like."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from planner import api

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    ("--device", "device", "DEVICE", 'What ran it, such as "RTX 4090" or "4x H100 SXM", where a file does not say.'),
    ("--processor", "processor", "CPU", "The processor beside or without GPUs."),
    ("--backend", "backend", "NAME", "llama.cpp's backend: CUDA, ROCm, Vulkan, Metal, SYCL or CPU."),
    ("--model", "model", "NAME", "The model, by a name of the catalogue or its repository."),
    ("--engine", "engine", "ENGINE", "llama.cpp, ik_llama.cpp, vllm, sglang or trtllm."),
    ("--quant", "quantization", "TYPE", "How the weights are stored: Q4_K_M, or bf16, fp8, fp4 when served."),
    ("--build", "build", "BUILD", 'The engine\'s build, such as "1a68ec937 (9193)".'),
)  # fmt: skip


def given_options(command: F) -> F:
    """The options, handed to the command as one record named `given`. They hold for every row of every file."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        facts = {name: kwargs.pop(name) for _, name, _, _ in _OPTIONS}
        return command(*args, given=api.Given(**facts), **kwargs)

    decorated: Any = wrapped
    for flag, name, metavar, text in reversed(_OPTIONS):
        decorated = click.option(flag, name, metavar=metavar, default=None, help=text)(decorated)
    return decorated  # type: ignore[no-any-return]
