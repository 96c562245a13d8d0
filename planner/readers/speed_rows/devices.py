"""Which devices a row was measured on: GPUs by their exact names, the processor beside them where it is said."""

import re
from functools import cache

from hardware.accelerators import devices_called, find_accelerator
from hardware.cpus import find_processors
from hardware.errors import DescriptionError, UnknownDeviceError
from hardware.spec import Accelerator
from hardware.units import GB, GIB
from planner.readers.speed_rows.bench_row import BenchRow
from planner.readers.speed_rows.models import UnplacedError
from planner.speed.device import SpeedDevice, cpu_device, gpu_device

_BACKENDS = {
    "CUDA": "cuda", "ROCm": "rocm", "HIP": "rocm", "Vulkan": "vulkan", "Metal": "metal", "MTL": "metal",
    "SYCL": "sycl", "CPU": "cpu", "BLAS": "cpu", "": "cpu",
}  # fmt: skip
_SEVERAL = re.compile(r"(\d+)x (.+)")
_WITH_RAM = re.compile(r"\s+\d+GB\s*\+\s*\d+GB RAM$")
_APPLE = re.compile(
    r"(?:Apple )?M(?P<generation>\d) ?(?P<variant>pro|max|ultra)?(?: (?P<cores>\d+)(?:c|[-\u2010\u2011 ]core)(?: gpu)?)?"
    r"(?: (?P<memory>\d+)gb)?(?: \(.*\))?",
    re.IGNORECASE,
)
# Shared memory of an unnamed size: what a chip is sold with decides nothing here but whether a file fits.
_SHARED_MEMORY_BYTES = 64 * GIB
_ALIKE = 0.05  # cards of one name whose bandwidth differs by less are one device to the speed model
# Main memory beside a GPU when nobody says which: two channels of DDR5-5600, what desktops and laptops of
# these cards are sold with. Fitted efficiencies of "host" carry how far that is from the truth.
_UNNAMED_HOST_BYTES_PER_S = 89.6 * GB
_UNNAMED_HOST_THREADS = 8


def backend_of(row: BenchRow) -> str:
    """The backend that multiplies: "Vulkan,RPC/llama.cpp-vulkan_amdvlk" is Vulkan."""
    name = re.split(r"[/,]", row.backend)[0]
    if name not in _BACKENDS:
        raise UnplacedError(f"the backend {name!r} is not known")
    return _BACKENDS[name]


def row_devices(row: BenchRow) -> tuple[tuple[SpeedDevice, ...], tuple[Accelerator, ...], SpeedDevice]:
    """The GPUs of a row (none on a processor alone), their profiles, and the processor."""
    backend = backend_of(row)
    if backend == "cpu":
        return (), (), _processor(row.cpu or row.device, row.n_threads)
    accelerators = _accelerators(row.device, row.hardware, row.n_devices)
    gpus = []
    for accelerator in accelerators:
        device = gpu_device(accelerator, backend)
        if device is None:
            raise UnplacedError(f"the matrix rate of {accelerator.name} is not known")
        gpus.append(device)
    return tuple(gpus), accelerators, _host(row.cpu)


@cache
def _accelerators(device: str, hardware: str, n_devices: int) -> tuple[Accelerator, ...]:
    parts = [_SEVERAL.fullmatch(part.strip()) for part in device.split(" + ")]
    if all(parts) and len(parts) > 1:
        return tuple(
            accelerator
            for part in parts
            if part is not None
            for accelerator in (_accelerator(part[2], part[2]),) * int(part[1])
        )
    return (_accelerator(device, hardware),) * n_devices


@cache
def _accelerator(device: str, hardware: str) -> Accelerator:
    names = [_WITH_RAM.sub("", name) for name in (hardware, device) if name]
    apple = [match for name in names if (match := _APPLE.fullmatch(" ".join(name.split())))]
    if apple:
        return _apple(apple)
    names += [name.split(" (")[0] for name in names]
    for name in names:
        found = _exactly(name)
        if found is not None:
            return found
    for name in names:
        several = devices_called(name)
        rates = [one.memory_bytes_per_s for one in several]
        if several and max(rates) < (1 + _ALIKE) * min(rates):
            return min(several, key=lambda one: max(one.dense_flop_per_s.values(), default=0.0))
    raise UnplacedError(f"no profile has exactly the name {device!r}")


def _apple(matches: list[re.Match[str]]) -> Accelerator:
    """An Apple chip by its number of GPU cores, else the fullest chip of that name."""

    def said(what: str) -> str | None:
        return next((match[what] for match in matches if match[what]), None)

    name = f"Apple M{said('generation')} {(said('variant') or '').capitalize()}".strip()
    memory, cores = said("memory"), said("cores")
    found = _exactly(f"{name} {cores}-core" if cores else name, int(memory) * GIB if memory else None)
    if found is None:
        raise UnplacedError(f"no profile has exactly the name {name!r}")
    return found


def _exactly(name: str, memory_bytes: int | None = None) -> Accelerator | None:
    for size in (memory_bytes, _SHARED_MEMORY_BYTES):
        try:
            return find_accelerator(name, memory_bytes=size)
        except UnknownDeviceError:
            continue
    return None


@cache
def _processor(name: str, n_threads: int | None) -> SpeedDevice:
    try:
        processors = find_processors(name)
    except DescriptionError:
        processors = None
    rate = processors.memory_bytes_per_s if processors else None
    if processors is None or rate is None:
        raise UnplacedError(f"the memory bandwidth of the processor {name!r} is not known")
    cores = processors.n_sockets * processors.n_cores
    threads = min(cores, n_threads or cores)
    return cpu_device(
        processors.name, rate, threads, beside_gpu=False, instruction_sets=processors.instruction_sets
    )


@cache
def _host(name: str) -> SpeedDevice:
    """The processor beside GPUs."""
    try:
        processors = find_processors(name) if name else None
    except DescriptionError:
        processors = None
    rate = processors.memory_bytes_per_s if processors else None
    if processors is None or rate is None:
        return cpu_device("unnamed", _UNNAMED_HOST_BYTES_PER_S, _UNNAMED_HOST_THREADS, beside_gpu=True)
    cores = processors.n_sockets * processors.n_cores
    return cpu_device(
        processors.name, rate, cores, beside_gpu=True, instruction_sets=processors.instruction_sets
    )
