"""By which factors an operator is slower than ideal: names of effects, from what is general to what is special.

    seconds = ideal · (least + exp(base of the operator + Σ effects))

`least` is 1 for reading memory and for a device's fastest number type when multiplying: no estimate beats the
peak. Effects are logarithms with a prior around 0: an operator on a device that nobody measured keeps its
family's, its backend's and every device's factor, and only its own is missing. A model and its architecture
stretch the whole step instead.
"""

import math
from collections.abc import Iterator
from typing import Literal

from planner.speed.batched import COLUMNS
from planner.speed.device import SpeedDevice
from planner.speed.kernels import processor_kernel
from planner.speed.operator_facts import OPERATORS
from planner.speed.processor_attention import ATTENTION, NEAR_CACHE
from planner.speed.processor_steps import AS_PROMPT, PRODUCTS, has_own_products
from planner.speed.setting import MODERN_BUILDS, Setting

Phase = Literal["prefill", "decode"]
Level = Literal[
    "operator", "backend", "memory", "family", "device", "type", "type_backend", "type_family", "age", "build",
    "engine", "attention", "several", "model", "architecture", "machine",
]  # fmt: skip

# Types of old, in blocks of 32: measured together, nearly always as Q4_0; what the others differ by is their own.
_LEGACY = frozenset(("Q4_0", "Q4_1", "Q5_0", "Q5_1"))

_OF_PROMPTS = frozenset(
    ("multiply", "multiply_experts", "multiply_library", "multiply_library_experts", "rescale", "attention")
)

# What llama_cpp_measured_products.csv has of llama.cpp itself; published rows of processors are nearly all its fork's.
_PROCESSOR_PRODUCTS = frozenset(("multiply", "multiply_experts", "rescale", "attention", *PRODUCTS))
_LIKE_A_PROMPT = frozenset(("multiply_experts", AS_PROMPT))

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
    if device.kind == "cpu" and operator in ("multiply", "multiply_experts", AS_PROMPT):
        return _PROCESSOR_MULTIPLY_START
    return OPERATORS[operator].start


def least_factor(operator: str, device: SpeedDevice) -> float:
    """The factor that no measurement can beat: 1 for bytes, the fastest number type's share for FLOP.

    Columns of vectors are counted in the rate outside the matrix cores, but no faster than these either.
    """
    bound = OPERATORS[operator].bound
    if operator in COLUMNS:
        return device.least_matrix_fraction * device.vector_flop_per_s / device.matrix_flop_per_s
    if operator in PRODUCTS and operator != AS_PROMPT:  # counted in the rate of FP32
        return device.least_matrix_fraction * device.widened_flop_per_s / device.matrix_flop_per_s
    return {"none": 0.0, "bytes": 1.0, "flop": device.least_matrix_fraction}[bound]


def operator_effects(
    operator: str, type_class: str, device: SpeedDevice, setting: Setting, phase: Phase, n_gpus: int
) -> Iterator[tuple[Level, str]]:
    """The effects on an operator, each with its level, from general to special."""
    facts = OPERATORS[operator]
    phase = "prefill" if operator in _OF_PROMPTS else phase  # large batches run a prompt's kernels
    backend, family = device.backend, device.family
    operator = "cache" if operator == NEAR_CACHE else operator
    if operator in ATTENTION:
        yield from _processor_attention_effects(operator, type_class, device, setting, phase)
        return
    measured_alone = operator in _PROCESSOR_PRODUCTS and (operator != "attention" or setting.flash_attention)
    if has_own_products(device, setting) and measured_alone:
        yield from _processor_product_effects(operator, type_class, device, phase)
        return
    here = f"{operator} {backend}"
    yield "operator", _of_all(operator, device)
    if facts.like is not None and device.kind == "gpu":
        yield from _effects_like(facts.like, device)
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


def _of_all(operator: str, device: SpeedDevice) -> str:
    """An operator's own effect. Processors read weights otherwise than GPUs do, so what these reach says nothing of it."""
    facts = OPERATORS[operator]
    is_reading = facts.bound == "bytes" and facts.types is not None
    return f"{operator} processor" if is_reading and device.kind == "cpu" else operator


def _effects_like(operator: str, device: SpeedDevice) -> Iterator[tuple[Level, str]]:
    """What slows a kernel on a device for whatever weights it multiplies."""
    here = f"{operator} {device.backend}"
    yield "operator", operator
    yield "backend", here
    yield "family", f"{here} {device.family}"
    if OPERATORS[operator].shared_memory:
        yield "memory", f"{here} {device.memory_kind}"
    yield "device", f"{here} {device.key}"


def _processor_product_effects(
    operator: str, type_class: str, device: SpeedDevice, phase: Phase
) -> Iterator[tuple[Level, str]]:
    """Of products in llama.cpp itself on a processor alone, whose kernels are not its fork's."""
    if operator == "rescale":
        yield "backend", processor_product("rescale")
        return
    if operator == "attention":
        here = processor_product("attention")
        yield "backend", here
        yield "type_family", f"{here} {device.architecture}"
    else:
        here = processor_product(operator)
        kernel = processor_kernel(type_class, device.architecture)
        yield "backend", here
        yield "backend", f"{here} {kernel}"
        yield "type_backend", f"type-{here} {type_class} {kernel}"
        yield "type_family", f"type-{here} {type_class} {device.architecture}"
    yield "device", f"all-multiply-{phase} cpu {device.key}"
    shared = "products cpu llama.cpp" if operator in PRODUCTS else here
    yield "device", f"{shared} {device.key}"


def _processor_attention_effects(
    operator: str, cache_class: str, device: SpeedDevice, setting: Setting, phase: Phase
) -> Iterator[tuple[Level, str]]:
    """Of a step's attention in llama.cpp itself on a processor alone."""
    here = f"{operator} cpu llama.cpp"
    yield "operator", here
    yield "type_family", f"{here} {device.architecture}"
    if setting.flash_attention is False:
        yield "attention", f"{here} plain"
    if cache_class != "F16 cache":
        yield "type_backend", f"type-attend cpu llama.cpp {cache_class}"
    yield "device", f"all-multiply-{phase} cpu {device.key}"
    yield "device", f"attend cpu llama.cpp {device.key}"


def processor_product(operator: str) -> str:
    """The name that effects on a processor's products in llama.cpp itself begin with."""
    return f"{'multiply' if operator in _LIKE_A_PROMPT else operator} cpu llama.cpp"


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
