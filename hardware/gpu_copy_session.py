"""GPU copies of this machine: which driver or framework measures which GPU, each in a process of its own.

The process prints its results line by line. One that crashes, hangs or loses a GPU costs that GPU its rates and
one line; what came before it stays.
"""

import json
import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, cast

import hardware
from hardware.record_json import Keys, record_from_data
from hardware.spec import Gpu, GpuCopies

Progress = Callable[[float], None]  # told the fraction done, 0 to 1

_PATIENCE_S = 60.0  # between two lines: loading a framework from a slow disk, making a context
_END_S = 5.0
_MAX_LINE = 300
_KEYS = Keys(names={}, shown={})


@dataclass(frozen=True, slots=True, kw_only=True)
class CopierChoice:
    """A driver or framework that may be here: for which backends, under which library names, and what gives it."""

    name: str  # of hardware.copiers.child.COPIERS
    what: str
    backends: tuple[str, ...]
    libraries: tuple[str, ...]


# The driver's own library first: it is there wherever the GPU works, and loads in a moment.
CHOICES = (
    CopierChoice(
        name="cuda_driver", what="the CUDA driver library", backends=("cuda",), libraries=("libcuda.so.1",)
    ),
    CopierChoice(
        name="hip_runtime",
        what="the HIP runtime of ROCm",
        backends=("rocm",),
        libraries=(
            "libamdhip64.so",
            "libamdhip64.so.7",
            "libamdhip64.so.6",
            "libamdhip64.so.5",
            "/opt/rocm/lib/libamdhip64.so",
        ),
    ),
    CopierChoice(
        name="pytorch",
        what="PyTorch",
        backends=("cuda", "rocm", "sycl", "metal", "vulkan"),
        libraries=("torch",),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Device:
    name: str
    uuid: str | None
    pci_address: str | None


@dataclass(slots=True)
class _Answer:
    """What one process told until it ended."""

    reason: str | None = None  # why nothing, or nothing more, came
    label: str | None = None
    devices: tuple[_Device, ...] = ()
    begun: int | None = None
    copies: dict[int, GpuCopies] = field(default_factory=dict)
    problems: dict[int, tuple[str, ...]] = field(
        default_factory=dict
    )  # of each GPU that was asked; () is none

    def start_again(self) -> None:
        """Forgets how the last process ended; what it measured stays."""
        self.begun = self.reason = None


def measure_gpu_copies(
    gpus: Sequence[Gpu],
    host_free_bytes: int,
    *,
    budget_s: float = 1.2,
    progress: Progress | None = None,
    choices: Sequence[CopierChoice] = CHOICES,
    patience_s: float = _PATIENCE_S,
) -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    """The GPUs with the rates that could be measured, and a line for each that could not."""
    found: dict[int, Gpu] = {}
    problems: list[str] = []
    reasons: dict[int, list[str]] = {}
    for choice in choices:
        wanted = [
            place for place, gpu in enumerate(gpus) if place not in found and gpu.backend in choice.backends
        ]
        if not wanted:
            continue
        done = len(found) / len(gpus)
        answer = _ask(choice, host_free_bytes, budget_s, patience_s, _within(progress, done, 1.0))
        matches = _matches([gpus[place] for place in wanted], answer.devices)
        for place, ordinal in zip(wanted, matches, strict=True):
            copies = None if ordinal is None else answer.copies.get(ordinal)
            said = () if ordinal is None else answer.problems.get(ordinal, ())
            if copies is not None and copies != GpuCopies():
                found[place] = replace(gpus[place], copies=copies)
                problems += [f"GPU {gpus[place].index}: {line}" for line in said]
            else:
                reasons.setdefault(place, []).append(_why(choice, answer, ordinal, said))
    missing: dict[str, list[int]] = {}
    for place, why in reasons.items():
        if place not in found:
            missing.setdefault("; ".join(dict.fromkeys(why)), []).append(gpus[place].index)
    problems += [f"copies of {_named(who)} were not measured: {why}" for why, who in missing.items()]
    if progress is not None:
        progress(1.0)
    return tuple(found.get(place, gpu) for place, gpu in enumerate(gpus)), tuple(problems)


def _why(choice: CopierChoice, answer: _Answer, ordinal: int | None, said: Sequence[str]) -> str:
    """Why one GPU got no rates from one copier."""
    if said:
        return "; ".join(said)
    if answer.label is None:
        return f"{choice.what} is not usable here ({answer.reason})"
    if ordinal is None:
        return f"{answer.label} shows no such GPU"
    return f"{answer.label} gave no answer" + (f": it {answer.reason}" if answer.reason else "")


def _named(indices: Sequence[int]) -> str:
    return f"GPU {indices[0]}" if len(indices) == 1 else f"GPUs {', '.join(map(str, indices))}"


def _ask(
    choice: CopierChoice,
    host_free_bytes: int,
    budget_s: float,
    patience_s: float,
    progress: Progress | None,
) -> _Answer:
    """What one copier tells of all its GPUs; after a crash it starts again with the GPUs that are left."""
    answer = _Answer()
    while True:
        answer.start_again()
        skipped = ",".join(map(str, sorted(answer.problems)))
        arguments = (choice.name, ",".join(choice.libraries), str(host_free_bytes), str(budget_s), skipped)
        ending = _run(arguments, answer, patience_s, progress)
        answer.reason = answer.reason or ending
        if answer.begun is None or answer.begun in answer.problems:
            return answer  # whole, or it ended before it came to a GPU
        answer.problems[answer.begun] = (f"{answer.label}: it {ending or 'ended without an answer'}",)


def _run(
    arguments: Sequence[str], answer: _Answer, patience_s: float, progress: Progress | None
) -> str | None:
    """Runs one process to its end, or to the end of our patience; says how it ended where that was not well."""
    # The child imports this very package, wherever it lies.
    root = str(Path(hardware.__path__[0]).parent)
    path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH")) if part)
    process = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", "hardware.copiers.child", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
        text=True,
        errors="replace",
    )
    try:
        for line in _lines(process, patience_s):
            _take(answer, line)
            if progress is not None and answer.devices:
                progress(len(answer.problems) / len(answer.devices))
        code = process.wait(_END_S)
    except (TimeoutError, subprocess.TimeoutExpired):
        return f"did not answer for {patience_s:g} s"
    finally:
        process.kill()  # where it has ended already, nothing happens
        with suppress(
            subprocess.TimeoutExpired
        ):  # a process that waits for a dead GPU may not even be killed
            process.wait(_END_S)
    if code == 0:
        return None
    return f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"


def _lines(process: subprocess.Popen[str], patience_s: float) -> Iterator[str]:
    """What the process prints, as it comes; raises TimeoutError when nothing comes for too long."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        with cast(IO[str], process.stdout) as stream:
            for line in stream:
                lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=patience_s)
        except queue.Empty as error:
            raise TimeoutError from error
        if line is None:
            return
        yield line


def _take(answer: _Answer, line: str) -> None:
    """One line of the process."""
    facts = json.loads(line)
    if "absent" in facts or "refused" in facts:
        answer.reason = str(facts.get("absent") or facts.get("refused"))[:_MAX_LINE]
    elif "label" in facts:
        answer.label = facts["label"]
        answer.devices = tuple(_Device(**device) for device in facts["devices"])
    elif "begun" in facts:
        answer.begun = facts["begun"]
    else:
        ordinal = facts["device"]
        answer.copies[ordinal] = record_from_data(GpuCopies, facts["copies"], _KEYS)
        answer.problems[ordinal] = tuple(line[:_MAX_LINE] for line in facts["problems"])


def _matches(gpus: Sequence[Gpu], devices: Sequence[_Device]) -> list[int | None]:
    """For each GPU the copier's number for it: by UUID, by address, or by order where neither is told."""
    return [_match(gpu, devices, gpus) for gpu in gpus]


def _match(gpu: Gpu, devices: Sequence[_Device], gpus: Sequence[Gpu]) -> int | None:
    own = _digits(gpu.uuid)
    if own is not None:
        for ordinal, device in enumerate(devices):
            if _digits(device.uuid) == own:
                return ordinal
    link = None if gpu.details is None else gpu.details.pcie
    address = None if link is None else link.address
    # Slices of one card share its address, so there only their UUIDs tell.
    if address is not None and gpu.mig_profile is None:
        at_address = [ordinal for ordinal, device in enumerate(devices) if device.pci_address == address]
        if len(at_address) == 1:
            return at_address[0]
    told = any(device.uuid or device.pci_address for device in devices)
    if told and (own is not None or address is not None):
        return None
    return gpus.index(gpu) if len(gpus) == len(devices) else None


def _digits(uuid: str | None) -> str | None:
    """The hexadecimal digits of a UUID however it is written: "GPU-8f…" of NVML, "8f…" of CUDA."""
    if uuid is None:
        return None
    return re.sub(r"[^0-9a-f]", "", re.sub(r"^(gpu|mig)-", "", uuid.casefold())) or None


def _within(progress: Progress | None, start: float, end: float) -> Progress | None:
    if progress is None:
        return None
    return lambda done: progress(start + (end - start) * done)
