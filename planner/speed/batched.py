"""What the matrices of a step cost beyond being read, by how many tokens the step has.

A kernel for vectors reads the weights once and multiplies them with up to 8 tokens while it reads: the products
hide behind reading until they take longer (`seen_seconds`). Beyond 8 tokens the kernels are those of
prompts, which read first and then multiply every token. The change of kernel is real: on an RTX 4090 eight tokens
of Llama 3.1 8B in BF16 take 16.5 ms and nine 17.0, on a P40 eight of its Q4_0 take 39.8 ms and sixteen 33.6.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from planner.speed.device import SpeedDevice
from planner.speed.kernels import WHOLE_TYPES
from planner.speed.processor_steps import has_own_products, processor_products
from planner.speed.setting import Setting
from planner.speed.work import ClassWeights

# Steps up to here go through the kernels that multiply vectors (MMVQ_MAX_BATCH_SIZE in ggml-cuda,
# mul_mat_vec_max_cols in ggml-vulkan, ne11_mm_min of mul_mv_ext in ggml-metal).
VECTOR_TOKENS = 8
_WEIGHTS = ("read", "read_experts")
# What hides behind which reading: one kernel does both.
HIDDEN_BEHIND: Mapping[str, tuple[str, ...]] = {
    "columns": _WEIGHTS, "columns_experts": _WEIGHTS, "attention": ("cache",),
}  # fmt: skip
_NOTHING = 1e-300  # seconds; where neither takes any time, nothing is shared
COLUMNS = ("columns", "columns_experts")


def step_products(
    weight: ClassWeights, device: SpeedDevice, setting: Setting, n_tokens: Any
) -> Iterator[tuple[str, Any]]:
    """Operators and ideal seconds of multiplying a step's tokens with one class of weights; `n_tokens` broadcasts."""
    if not _any(weight.n_elements):
        return
    if has_own_products(device, setting):
        yield from processor_products(weight, device, n_tokens)
        return
    flop = 2 * weight.n_elements * weight.active_fraction
    yield "unpack", flop / device.vector_flop_per_s
    suffix = "_experts" if weight.is_expert else ""
    if device.kind == "cpu":  # one kernel for any number of tokens
        as_prompt, multiplied = 1, n_tokens - 1
    else:
        as_prompt = n_tokens > VECTOR_TOKENS
        multiplied = n_tokens * as_prompt
    # Of n products beside reading in √(reading² + n² · product²), what one token's time does not hold already.
    further = (n_tokens**2 - 1) ** 0.5 * (1 - as_prompt)
    if _any(further):
        yield f"columns{suffix}", flop * further / device.vector_flop_per_s
    if _any(multiplied):
        whole = weight.type_class in WHOLE_TYPES
        # Quantized weights go to a library only from batches on that nobody decodes (`kernels.uses_library`).
        name = "multiply_library" if whole and device.backend in ("cuda", "rocm") else "multiply"
        yield f"{name}{suffix}", flop * multiplied / device.product_flop_per_s(weight.type_class)
        if not whole:
            yield "rescale", flop * multiplied / device.vector_flop_per_s


def _any(counts: Any) -> bool:
    """Whether any of the counts is not 0."""
    return bool(counts) if isinstance(counts, (int, float)) else bool(counts.any())


def seen_seconds(keys: Sequence[tuple[int, str]], seconds: Sequence[Any]) -> tuple[Any, ...]:
    """Seconds of operators by device and name, with what hides behind reading on its device taken off.

    Reading and what it hides take √(reading² + hidden²) together. Measured from 2 to 8 tokens on six GPUs this is
    within a tenth of most steps; their sum is up to 20 % above, the larger of the two up to 30 % below.
    """
    sums: dict[tuple[int, tuple[str, ...]], Any] = {}
    for (device, name), took in zip(keys, seconds, strict=True):
        if name in HIDDEN_BEHIND:
            where = (device, HIDDEN_BEHIND[name])
            sums[where] = sums.get(where, 0.0) + took
    shares = {}
    for (device, hiders), hidden in sums.items():
        found = [
            took for key, took in zip(keys, seconds, strict=True) if key[0] == device and key[1] in hiders
        ]
        if found:
            reading = sum(found)
            # √(r² + h²) − r = h · h / (√(r² + h²) + r), without the difference of two nearly equal numbers.
            shares[device, hiders] = hidden / ((reading**2 + hidden**2) ** 0.5 + reading + _NOTHING)
    return tuple(
        took * shares.get((device, HIDDEN_BEHIND.get(name, ())), 1.0)
        for (device, name), took in zip(keys, seconds, strict=True)
    )
