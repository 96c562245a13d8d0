"""A person's own placement held against the machine it is meant for: devices by name, and RAM where it is used.

llama-server refuses a device that it does not have, and loads nothing. Left alone here, the tensors sent to
it would be missing from the sum, and the model would seem to fit.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from hardware.spec import Machine
from planner.engines.llama_cpp import LlamaCppFlags, TensorOverride
from planner.engines.llama_cpp.given_split import GivenSplit
from planner.errors import MalformedError, MissingFactError
from planner.estimate.memory import Device, devices

_RAM = "CPU"
# How llama.cpp's backends name their devices, each with a number behind it (ggml_backend_dev_name).
_ENGINE_NAME = re.compile(r"(?:CUDA|ROCm|Vulkan|SYCL|MTL|MUSA)(\d+)", re.IGNORECASE)
_PREFIXES = {"cuda": "CUDA", "rocm": "ROCm", "vulkan": "Vulkan", "sycl": "SYCL", "metal": "MTL"}


def on_this_machine(given: GivenSplit, machine: Machine, flags: LlamaCppFlags, n_layers: int) -> GivenSplit:
    """The same placement with devices by the machine's names ("GPU 1" for CUDA1).

    Raises MalformedError for a pattern that is no regular expression, a device that is not there or more shares
    than GPUs, and MissingFactError where something is to lie in RAM of which nobody said how much there is.
    """
    gpus, ram = devices(machine)
    if given.tensor_split is not None and gpus and len(given.tensor_split) > len(gpus):
        raise MalformedError(
            f"-ts gives {len(given.tensor_split)} shares and {machine.name} has "
            f"{len(gpus)} GPU{'s' if len(gpus) > 1 else ''}; give one for each"
        )
    overrides = tuple(
        TensorOverride(pattern=_checked(override.pattern), device=_device(override, gpus))
        for override in given.overrides
    )
    found = replace(given, overrides=overrides)
    is_apart = gpus and not any(gpu.shares_ram for gpu in gpus)
    if is_apart and ram is None and (reason := _in_ram(found, flags, n_layers)):
        raise MissingFactError(
            f"{reason} puts weights or cache in RAM, and how much RAM {machine.name} has is unknown; "
            f"say it, for example --on '{machine.name}, 64GiB'"
        )
    return found


def engine_device(device: str, gpus: Sequence[Device]) -> str:
    """The engine's name of one of our devices: "GPU 1" is CUDA1."""
    for position, gpu in enumerate(gpus):
        if gpu.name == device:
            return f"{_PREFIXES.get(gpu.kind, gpu.kind)}{position}"
    return device


def _checked(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise MalformedError(f"the tensor pattern {pattern[:60]!r} of -ot cannot be read: {error}") from error
    return pattern


def _device(override: TensorOverride, gpus: Sequence[Device]) -> str:
    asked = override.device
    if asked.upper() == _RAM:
        return _RAM
    names = [gpu.name for gpu in gpus]
    if asked in names:
        return asked
    numbered = _ENGINE_NAME.fullmatch(asked)
    if numbered is not None and int(numbered[1]) < len(names):
        return names[int(numbered[1])]
    there = ", ".join([_RAM, *(engine_device(name, gpus) for name in names)])
    raise MalformedError(
        f"-ot sends {override.pattern[:60]!r} to {asked[:40]!r}; the devices here are {there}"
    )


def _in_ram(given: GivenSplit, flags: LlamaCppFlags, n_layers: int) -> str | None:
    if given.n_cpu_moe:
        return f"--n-cpu-moe {min(given.n_cpu_moe, n_layers)}"
    if given.n_gpu_layers is not None and given.n_gpu_layers <= n_layers:
        return f"-ngl {given.n_gpu_layers}"
    if any(override.device == _RAM for override in given.overrides):
        return f"-ot …={_RAM}"
    return None if flags.kv_offload else "--no-kv-offload"
