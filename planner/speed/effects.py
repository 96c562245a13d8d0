"""By which factors an operator is slower than ideal: names of effects, from what is general to what is special.

    seconds = ideal · (least + exp(base of the operator + Σ effects))

`least` is 1 for reading memory and for a device's fastest number type when multiplying: no estimate beats the
peak. Effects are logarithms with a prior around 0: an operator on a device that nobody measured keeps its
family's, its backend's and every device's factor, and only its own is missing. A model and its architecture
stretch the whole step instead.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from planner.speed.batched import COLUMNS
from planner.speed.device import SpeedDevice
from planner.speed.kernels import processor_kernel
from planner.speed.setting import MODERN_BUILDS, Setting

Phase = Literal["prefill", "decode"]
Level = Literal[
    "operator", "backend", "memory", "family", "device", "type", "type_backend", "type_family", "age", "build",
    "engine", "attention", "several", "model", "architecture", "machine",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """What is known of an operator before any measurement."""

    start: float  # of the logarithm, where fitting begins
    bound: Literal["none", "bytes", "flop"] = "none"  # what its ideal time cannot be beaten by
    group: str | None = None  # operators of a group share a device's effects
    types: str | None = None  # the name that its type classes go by; None where types play no role
    shared_memory: bool = False  # takes effects of the kind of memory
    follows_build: bool = False  # depends on how the build reaches matrix cores
    follows_age: bool = False
    follows_attention: bool = False
    follows_split: bool = False  # several GPUs
    general: bool = False  # no effects below the backend


OPERATORS = {
    "read": Operator(
        start=-1.6, bound="bytes", group="memory", types="read", shared_memory=True,
        follows_build=True, follows_age=True, follows_split=True,
    ),
    "read_experts": Operator(
        start=-0.7, bound="bytes", group="memory", types="read", shared_memory=True, follows_build=True,
    ),
    "unpack": Operator(start=-3.0, types="unpack"),
    "columns": Operator(start=1.7, bound="flop", types="columns"),
    "columns_experts": Operator(start=1.7, bound="flop", types="columns"),
    "cache": Operator(
        start=-0.5, bound="bytes", group="memory", shared_memory=True, follows_age=True, follows_attention=True,
    ),
    # Read once more for every further head that shares an entry: from a device's own cache, where kernels group heads.
    "cache_again": Operator(start=-2.0, group="memory", follows_attention=True),
    # A mixture's experts that have no kernel for vectors: one token goes through a prompt's tile.
    "tile_experts": Operator(start=1.4, group="multiply"),
    "state": Operator(start=0.0, general=True),
    "launch": Operator(
        start=0.5, group="launch", follows_build=True, follows_age=True, follows_split=True,
    ),
    "launch_router": Operator(start=0.5, group="launch"),
    "launch_state": Operator(start=0.5, group="launch"),
    "crossing": Operator(start=2.0, general=True),
    # Waiting for other GPUs, from published pairs (`profiles/calibrations/llama_cpp_measured_splits.csv`): a sum over
    # PCI Express takes about 40 µs, each copy of a row split about 12; NCCL's own tests have sums over NVLink at 10 to
    # 20 µs (recalled).
    "reduce": Operator(start=3.7, general=True),
    "reduce_linked": Operator(start=2.7, general=True),
    "exchange": Operator(start=2.5, general=True),
    # Nothing published tells how far a network's own rates are missed, so these are its rates as they were given.
    "network_wait": Operator(start=-6.0, bound="bytes", general=True),
    "network": Operator(start=-6.0, bound="bytes", general=True),
    # GeForce cards, which most pairs were measured on, cannot reach each other: bytes cross to main memory and back.
    "between_gpus": Operator(start=0.0, bound="bytes", general=True),
    "between_linked": Operator(start=-1.4, bound="bytes", general=True),
    "step": Operator(start=1.0, group="launch", general=True, follows_split=True),
    "vector_read": Operator(start=-1.6, bound="bytes", group="memory", types="vector_read"),
    "vector_read_experts": Operator(
        start=0.0, bound="bytes", group="memory", types="vector_read", follows_age=True,
    ),
    "vector_multiply": Operator(start=2.0, bound="flop", group="multiply", types="vector_multiply"),
    "vector_multiply_experts": Operator(
        start=2.0, bound="flop", group="multiply", types="vector_multiply", follows_age=True,
    ),
    "batch_read": Operator(
        start=-0.5, bound="bytes", group="memory", types="batch_read", follows_build=True, follows_age=True,
    ),
    "batch_read_experts": Operator(
        start=0.0, bound="bytes", group="memory", types="batch_read", follows_build=True,
    ),
    "multiply": Operator(
        start=0.7, bound="flop", group="multiply", types="multiply", shared_memory=True, follows_build=True,
        follows_age=True, follows_split=True,
    ),
    "multiply_experts": Operator(
        start=1.0, bound="flop", group="multiply", types="multiply", shared_memory=True, follows_build=True,
        follows_age=True,
    ),
    "multiply_library": Operator(
        start=0.7, bound="flop", group="multiply", types="multiply_library", shared_memory=True,
        follows_build=True, follows_split=True,
    ),
    "multiply_library_experts": Operator(
        start=1.0, bound="flop", group="multiply", types="multiply_library", follows_build=True,
    ),
    "multiply_padding": Operator(start=0.0, group="multiply", types="multiply", follows_age=True),
    "write_out": Operator(start=0.0, bound="bytes", group="memory", types="write_out"),
    "call_library": Operator(start=1.5, group="launch"),
    "rescale": Operator(start=-2.0, types="rescale", follows_build=True, follows_age=True),
    "attention": Operator(
        start=1.2, group="multiply", follows_build=True, follows_age=True, follows_attention=True,
        follows_split=True,
    ),
    "scores": Operator(start=-0.5, group="memory", follows_age=True, follows_attention=True),
    "scan": Operator(start=-1.0, general=True),
    # Keys and values, read again for every tile of a prompt's tokens.
    "batch_cache": Operator(start=-2.0, group="memory", follows_attention=True),
    "activations": Operator(start=0.0, group="memory"),
    "batch_launch": Operator(
        start=1.0, group="launch", follows_build=True, follows_age=True, follows_split=True,
    ),
    "batch_crossing": Operator(start=1.0, general=True),
    # Not bound by the link: how many lanes a laptop gives its GPU is not said, and some copies run beside products.
    "copy_weights": Operator(start=0.0, general=True),
}  # fmt: skip

# Types of old, in blocks of 32: measured together, nearly always as Q4_0; what the others differ by is their own.
_LEGACY = frozenset(("Q4_0", "Q4_1", "Q5_0", "Q5_1"))

_OF_PROMPTS = frozenset(
    ("multiply", "multiply_experts", "multiply_library", "multiply_library_experts", "rescale", "attention")
)

# What llama_cpp_measured_products.csv has of llama.cpp itself; published rows of processors are nearly all its fork's.
_PROCESSOR_PRODUCTS = frozenset(("multiply", "multiply_experts", "rescale", "attention"))

# Measured on one processor of its own, with 2 threads and AVX-512: decoding reaches 0.68 of the measured bandwidth.
_PROCESSOR_READ_START = math.log(1 / 0.68 - 1)
# A trellis's weights are worked out, about 8 with 10 instructions, where INT8 products take 64 or more with one.
_TRELLIS_START = 2.5
# On the same processor prompts reach 0.3 to 2.2 times the FP32 rate of AVX2, by type: half the rate of INT8 with it.
_PROCESSOR_MULTIPLY_START = math.log(2 - 0.5)


def start_logarithm(operator: str, device: SpeedDevice, type_class: str = "") -> float:
    """Where an operator's factor lies before any measurement."""
    if device.kind == "cpu" and operator == "unpack" and is_trellis(type_class):
        return _TRELLIS_START
    if device.kind == "cpu" and operator in ("read", "read_experts", "vector_read", "vector_read_experts"):
        return _PROCESSOR_READ_START
    if device.kind == "cpu" and operator in ("multiply", "multiply_experts"):
        return _PROCESSOR_MULTIPLY_START
    return OPERATORS[operator].start


def least_factor(operator: str, device: SpeedDevice) -> float:
    """The factor that no measurement can beat: 1 for bytes, the fastest number type's share for FLOP.

    Columns of vectors are counted in the rate outside the matrix cores, but no faster than these either.
    """
    bound = OPERATORS[operator].bound
    if operator in COLUMNS:
        return device.least_matrix_fraction * device.vector_flop_per_s / device.matrix_flop_per_s
    return {"none": 0.0, "bytes": 1.0, "flop": device.least_matrix_fraction}[bound]


def operator_effects(
    operator: str, type_class: str, device: SpeedDevice, setting: Setting, phase: Phase, n_gpus: int
) -> Iterator[tuple[Level, str]]:
    """The effects on an operator, each with its level, from general to special."""
    facts = OPERATORS[operator]
    phase = "prefill" if operator in _OF_PROMPTS else phase  # large batches run a prompt's kernels
    backend, family = device.backend, device.family
    measured_alone = operator in _PROCESSOR_PRODUCTS and (operator != "attention" or setting.flash_attention)
    if backend == "cpu" and setting.engine == "llama.cpp" and measured_alone:
        yield from _processor_product_effects(operator, type_class, device, phase)
        return
    here = f"{operator} {backend}"
    yield "operator", operator
    yield "backend", here
    if not facts.general:
        yield "family", f"{here} {family}"
    if facts.shared_memory:
        yield "memory", f"{here} {device.memory_kind}"
    if facts.group is not None:
        yield "family", f"all-{facts.group}-{phase} {backend} {family}"
        yield "device", f"all-{facts.group}-{phase} {backend} {device.key}"
        yield "device", f"all-{facts.group}-{phase} any {device.key}"
        if device.is_mobile:
            yield "family", f"all-{facts.group}-{phase} mobile"
        if facts.group != "launch":
            yield "device", f"{here} {device.key}"
    if type_class and facts.types is not None:
        yield from _type_effects(operator, facts.types, type_class, device)
    first = MODERN_BUILDS.get(backend)
    if first is not None and facts.follows_age and not setting.is_from(first):
        yield "age", f"{here} old"
        yield "age", f"{here} old {family}"
    if facts.follows_build and backend in ("rocm", "vulkan"):
        yield "build", f"{here} {setting.matrix_cores}"
        if backend == "rocm":
            yield "build", f"{here} {setting.blas}"
            if type_class:
                yield "build", f"{here} {setting.blas} {measured_as(type_class)}"
    if setting.engine != "llama.cpp":
        yield "engine", f"{here} {setting.engine}"
    if facts.follows_attention:
        yield "attention", f"{operator} {setting.attention}"
        yield "attention", f"{here} {setting.attention}"
        kernel = _attention_kernel(backend, setting)
        yield "attention", f"{here} {kernel}"
        yield "attention", f"{here} {family} {kernel}"
    if facts.follows_split and n_gpus > 1:
        yield "several", f"{operator} several"
        yield "several", f"{here} several"
        yield "several", f"{here} several {device.key}"


def _processor_product_effects(
    operator: str, type_class: str, device: SpeedDevice, phase: Phase
) -> Iterator[tuple[Level, str]]:
    """Of a prompt's products in llama.cpp itself on a processor alone, whose kernels are not its fork's."""
    if operator == "rescale":
        yield "backend", processor_product("rescale")
        return
    if operator == "attention":
        here = processor_product("attention")
        yield "backend", here
        yield "type_family", f"{here} {device.architecture}"
    else:
        here = processor_product("multiply")
        kernel = processor_kernel(type_class, device.architecture)
        yield "backend", here
        yield "backend", f"{here} {kernel}"
        yield "type_backend", f"type-{here} {type_class} {kernel}"
        yield "type_family", f"type-{here} {type_class} {device.architecture}"
    yield "device", f"all-multiply-{phase} cpu {device.key}"
    yield "device", f"{here} {device.key}"


def processor_product(operator: str) -> str:
    """The name that effects on a processor's products in llama.cpp itself begin with."""
    return f"{operator} cpu llama.cpp"


def _attention_kernel(backend: str, setting: Setting) -> str:
    """Fused attention on AMD's cards differs by the build and by how it reaches matrix cores, and changed often."""
    if backend not in ("rocm", "vulkan") or setting.flash_attention is not True:
        return setting.attention
    age = "new" if setting.is_from(MODERN_BUILDS[backend]) else "old"
    return f"fused {age} {setting.matrix_cores}"


def _type_effects(
    operator: str, types: str, type_class: str, device: SpeedDevice
) -> Iterator[tuple[Level, str]]:
    shared = measured_as(type_class)
    name = f"type-{types} {shared}"
    yield "type", name
    yield "type_backend", f"{name} {device.backend}"
    yield "type_family", f"{name} {device.backend} {device.family}"
    if types in ("read", "multiply"):
        yield "type_backend", f"type-{operator} {shared} {device.backend} alone"
    if is_trellis(type_class):
        yield "type", f"type-{types} trellis"
        yield "type_backend", f"type-{types} trellis {device.backend}"
    if type_class in _LEGACY and type_class != "Q4_0":
        yield "type", f"type-{types} {type_class}"
        yield "type_backend", f"type-{types} {type_class} {device.backend}"


def is_trellis(type_class: str) -> bool:
    """Whether weights of a type are worked out from a seed rather than looked up: the fork's IQ2_KT to IQ4_KT."""
    return type_class.startswith("ik") and type_class.endswith("t")


def measured_as(type_class: str) -> str:
    """The class that measurements of a type go by outside of processors."""
    return "legacy" if type_class in _LEGACY else type_class


def model_effects(phase: Phase, model_key: str, architecture: str) -> Iterator[tuple[Level, str]]:
    """What a model and its architecture stretch the whole step by."""
    yield "model", f"model-{phase} {model_key}"
    yield "architecture", f"architecture-{phase} {architecture}"


def machine_effect(phase: Phase, device: SpeedDevice, n_gpus: int) -> tuple[Level, str]:
    """What one machine stretches whole steps by. Only its own measurements teach it, never a fit of many machines."""
    return "machine", f"machine-{phase} {device.backend} {device.key} x{max(1, n_gpus)}"
