"""Where llama.cpp puts layers: how many on GPUs, in which shares, and which tensors go elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorOverride:
    """Tensors whose names match a pattern go to a device ("CPU" or a GPU's name), as with -ot."""

    pattern: str
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Where layers go, in llama.cpp's terms; the output head counts as one more layer after the last."""

    n_gpu_layers: int
    n_cpu_moe: int = 0  # the first so many layers keep their experts in RAM
    tensor_split: tuple[float, ...] | None = None  # shares of the GPUs; None for shares of their free memory
    mode: Literal["layer", "row", "none"] = "layer"
    main_gpu: int = 0
    overrides: tuple[TensorOverride, ...] = ()  # the first match wins


def layer_gpus(n_layers: int, split: Split, free_bytes: Sequence[int]) -> tuple[int | None, ...]:
    """For each layer and then the head, the index of its GPU, or None for RAM.

    llama-model.cpp: the last layers go to the GPUs, in the shares that -ts gives or in those of their free memory;
    layer i of n goes to the first GPU whose cumulative share is above i / n. With -sm none, all go to one GPU.
    """
    n_offloaded = min(split.n_gpu_layers, n_layers + 1) if free_bytes else 0
    first = n_layers + 1 - n_offloaded
    if split.mode == "none":
        return (None,) * first + (split.main_gpu,) * n_offloaded
    bounds = list(accumulate(_shares(split, free_bytes)))
    found: list[int | None] = []
    for layer in range(n_layers + 1):
        if layer < first:
            found.append(None)
            continue
        # position < bound / whole, kept in whole numbers where the shares are
        position = (layer - first) * bounds[-1]
        last = len(free_bytes) - 1
        found.append(next((i for i, bound in enumerate(bounds) if position < bound * n_offloaded), last))
    return tuple(found)


def _shares(split: Split, free_bytes: Sequence[int]) -> Sequence[float]:
    """Shares of the GPUs; those that -ts does not name get nothing, and all zeros means free memory."""
    if split.tensor_split is None or not any(split.tensor_split):
        return (
            [max(free, 0) for free in free_bytes]
            if any(free > 0 for free in free_bytes)
            else [1] * len(free_bytes)
        )
    return [*split.tensor_split, *(0,) * len(free_bytes)][: len(free_bytes)]
