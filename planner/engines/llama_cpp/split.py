"""Where llama.cpp puts layers: how many on GPUs, in which shares, and which tensors go elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from struct import pack, unpack
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
    mode: Literal["layer", "row", "tensor", "none"] = "layer"
    main_gpu: int = 0
    overrides: tuple[TensorOverride, ...] = ()  # the first match wins


def layer_gpus(
    n_layers: int, split: Split, free_bytes: Sequence[int], n_extra_layers: int = 0
) -> tuple[int | None, ...]:
    """For each layer and then the head, the index of its GPU, or None for RAM.

    llama-model.cpp, get_layer_buft_list: the last layers go to the GPUs, in the given shares or in shares of
    free memory, added up in single precision; extra prediction layers in the file take part between the layers
    and the head. With one GPU only (`mode="none"`) it is the main one.
    """
    n_gpus = len(free_bytes)
    wanted = split.n_gpu_layers + (n_extra_layers if split.n_gpu_layers else 0)
    n_all = n_layers + n_extra_layers
    n_offloaded = min(wanted, n_all + 1) if n_gpus else 0
    first = n_all + 1 - n_offloaded
    if split.mode == "none" and n_gpus:
        return tuple(split.main_gpu if layer >= first else None for layer in (*range(n_layers), n_all))
    bounds = _bounds(split.tensor_split, free_bytes)
    found: list[int | None] = []
    for layer in (*range(n_layers), n_all):
        if layer < first:
            found.append(None)
            continue
        position = _single((layer - first) / n_offloaded)
        found.append(next((i for i, bound in enumerate(bounds) if position < bound), n_gpus - 1))
    return tuple(found)


def _bounds(shares: tuple[float, ...] | None, free_bytes: Sequence[int]) -> list[float]:
    """Where each GPU's share ends, between 0 and 1."""
    if shares is not None and any(shares):
        parts = [*shares, *(0.0 for _ in free_bytes)][: len(free_bytes)]
    else:
        parts = [float(max(free, 0)) for free in free_bytes]
        if not any(parts):
            parts = [1.0] * len(free_bytes)
    ends = []
    running = 0.0
    for part in parts:
        running = _single(running + _single(part))
        ends.append(running)
    return [_single(end / running) if running else 1.0 for end in ends]


def _single(value: float) -> float:
    """Rounded to single precision, as the engine computes shares."""
    return float(unpack("f", pack("f", value))[0])
