"""A step's tokens by weights on a processor alone, in llama.cpp itself: what unpacking and multiplying take.

One thread unpacks most types more slowly than memory brings them, so a step waits for the longer of both. A token more
costs as much again where a kernel takes one after another, and little where it takes four at once (interleaved types)
or eight and more (tiles): so the time of a product is measured at a few numbers of tokens, and lies on a line between
two of them.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from planner.model.weight import uneven_read_share
from planner.speed.device import SpeedDevice
from planner.speed.kernels import processor_kernel
from planner.speed.setting import Setting
from planner.speed.work import ClassWeights

# Tokens at once that products were measured at; of the last on, all take as long each.
MEASURED_TOKENS = (1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 128)
# The last is a prompt's product, and has its rate.
AS_PROMPT = f"product_{MEASURED_TOKENS[-1]}"
PRODUCTS = tuple(f"product_{n}" for n in MEASURED_TOKENS)


def has_own_products(device: SpeedDevice, setting: Setting) -> bool:
    """Whether a device's products are those measured of llama.cpp itself on a processor alone."""
    return device.backend == "cpu" and setting.engine == "llama.cpp"


def processor_products(weight: ClassWeights, device: SpeedDevice, n_tokens: Any) -> Iterator[tuple[str, Any]]:
    """Operators and ideal seconds of a step's tokens by one class of weights; `n_tokens` broadcasts.

    Experts are multiplied one by one with the tokens that picked them, in tiles or row by row
    (`ggml_compute_forward_mul_mat_id`, and `forward_mul_mat_id` in repack.cpp).
    """
    reached = uneven_read_share(weight.active_fraction, n_tokens) if weight.is_expert else 1.0
    each = n_tokens * weight.active_fraction / reached
    flop = 2 * weight.n_elements * reached
    if weight.is_expert and processor_kernel(weight.type_class, device.architecture) != "tiles":
        yield PRODUCTS[0], flop * each / device.widened_flop_per_s
        return
    for operator, n, share in zip(PRODUCTS, MEASURED_TOKENS, shares(each), strict=True):
        if isinstance(share, (int, float)) and not share:
            continue
        as_prompt = operator == AS_PROMPT
        rate = device.product_flop_per_s(weight.type_class) if as_prompt else device.widened_flop_per_s
        yield operator, flop * n * share / rate


def shares(n_tokens: Any) -> tuple[Any, ...]:
    """How much of each measured product's time a product with `n_tokens` takes: those of its two neighbours."""
    last = MEASURED_TOKENS[-1]
    begun = [
        1.0,
        *(_along(n_tokens, start, end) for start, end in pairwise(MEASURED_TOKENS)),
    ]
    beyond = (abs(n_tokens - last) + n_tokens - last) / (2 * last)
    inner = tuple(begun[i] - begun[i + 1] for i in range(len(begun) - 1))
    return (*inner, begun[-1] + beyond)


def _along(n_tokens: Any, start: int, end: int) -> Any:
    """How far along from start to end: 0 before, 1 after."""
    share = (n_tokens - start) / (end - start)
    if isinstance(share, float):
        return min(1.0, max(0.0, share))
    return (abs(share) - abs(share - 1) + 1) / 2
