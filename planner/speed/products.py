"""Multiplying a prompt's tokens by weights: the operators of each way that `kernels` knows."""

from dataclasses import replace

from planner.model.weight import uneven_read_share
from planner.speed.batched import VECTOR_TOKENS
from planner.speed.device import SpeedDevice
from planner.speed.expert_rows import row_search_s
from planner.speed.kernels import (
    UNPACKED,
    WHOLE_TYPES,
    expert_columns,
    has_vector_experts,
    multiplied_as,
    unpacks_all,
    uses_library,
)
from planner.speed.operator_time import F16_BYTES, LAUNCH_S, Sums
from planner.speed.setting import Setting
from planner.speed.work import ClassWeights

_TILE_ROWS, _TILE_COLUMNS, _FEWEST_COLUMNS = 128.0, 64.0, 8.0  # of a product that is called for one expert
_UNIT_FLOP_PER_S = 0.37e12  # FP32 of the 64 lanes that a work group runs on, at 2.9 GHz
_UNEVEN = (0.5, 0.7, 0.9, 1.1, 1.3, 1.5)  # an expert's tokens over the average expert's


def add_product(
    sums: Sums, device: SpeedDevice, place: int, weight: ClassWeights, moved_bytes: float, n_tokens: int,
    n_batches: float, setting: Setting,
) -> None:  # fmt: skip
    """A prompt's tokens by weights of one class, which are read once for each micro-batch."""
    suffix = "_experts" if weight.is_expert else ""
    vectors = not weight.is_expert or has_vector_experts(device, setting)
    # Up to so many tokens ggml-vulkan's tiles load element by element, which is as slow as vectors.
    small = n_tokens <= VECTOR_TOKENS and (vectors or device.backend == "vulkan")
    name = f"{'vector' if small else 'batch'}_read{suffix}"
    sums.add(place, name, weight.type_class, moved_bytes / device.memory_bytes_per_s)
    if not weight.n_elements:
        return
    flop = 2 * weight.n_elements * weight.active_fraction * n_tokens
    rate = device.product_flop_per_s(weight.type_class)
    in_batch = n_tokens / n_batches
    reached = uneven_read_share(weight.active_fraction, in_batch) if weight.is_expert else 1.0
    by_library = uses_library(weight.type_class, device, setting, in_batch, weight.n_experts)
    each = in_batch * weight.active_fraction / reached  # tokens that a matrix meets, if any
    if small:
        sums.add(place, f"vector_multiply{suffix}", weight.type_class, flop / rate)
    else:
        share = _library_share(weight, device, setting, each) if by_library else 0.0
        _add_library(sums, device, place, weight, share * flop, share * reached * n_batches)
        unpacked = weight.type_class not in WHOLE_TYPES and unpacks_all(device, setting, each)
        name = UNPACKED if unpacked else multiplied_as(weight.type_class, device, setting)
        _add_tiles(sums, device, place, replace(weight, type_class=name), (1 - share) * flop)
    searched = 0.0 if small else row_search_s(weight, device, setting, in_batch)
    if searched:
        sums.add(place, "find_rows", "", n_batches * searched)
    tiled = not vectors if small else not by_library
    if weight.is_expert and tiled:
        picked = weight.active_fraction * weight.n_experts
        columns = expert_columns(device, setting, in_batch, picked, weight.n_experts)
        wasted = reached * _wasted_columns(columns, each)
        more = 2 * weight.n_elements * wasted * n_batches
        name = multiplied_as(weight.type_class, device, setting)
        sums.add(place, "multiply_padding", name, more / device.matrix_flop_per_s)
    if by_library and weight.is_expert and not small:
        n_calls = weight.n_matrices * reached * n_batches
        sums.add(place, "call_library", "", LAUNCH_S * n_calls)
        idle = n_calls * _idle_flop(weight, device, each)
        sums.add(place, "multiply_idle", weight.type_class, idle / device.matrix_flop_per_s)


def _library_share(weight: ClassWeights, device: SpeedDevice, setting: Setting, each: float) -> float:
    """Of an expert tensor's products by the library, those of experts that meet enough tokens for it.

    Which way is chosen expert by expert, and experts meet half to one and a half times as many tokens as on average.
    """
    if not weight.is_expert or weight.type_class in WHOLE_TYPES:
        return 1.0
    shares = [uses_library(weight.type_class, device, setting, each * uneven) for uneven in _UNEVEN]
    return sum(shares) / len(shares)


def _add_tiles(sums: Sums, device: SpeedDevice, place: int, weight: ClassWeights, flop: float) -> None:
    if not flop:
        return
    whole = weight.type_class in WHOLE_TYPES
    name = "multiply_experts" if weight.is_expert else "multiply"
    sums.add(place, name, weight.type_class, flop / device.product_flop_per_s(weight.type_class))
    if not whole:
        sums.add(place, "rescale", weight.type_class, flop / device.vector_flop_per_s)


def _idle_flop(weight: ClassWeights, device: SpeedDevice, each: float) -> float:
    """What units without a tile could do while one expert's matrix is multiplied, which has too few for all of them.

    Tiles are 128 rows by up to 64 columns, and a unit works on one of them.
    """
    if not weight.n_rows:
        return 0.0
    columns = min(_TILE_COLUMNS, max(_FEWEST_COLUMNS, each))
    n_tiles = weight.n_rows / weight.n_matrices / _TILE_ROWS * max(1.0, each / columns)
    idle = max(0.0, device.vector_flop_per_s / _UNIT_FLOP_PER_S - n_tiles)
    return float(2 * idle * _TILE_ROWS * columns * weight.n_elements / weight.n_rows)


def _wasted_columns(columns: float, each: float) -> float:
    """Columns beyond the tokens that an expert meets: one tile at least, the last one half full on average."""
    return max(columns - each, (columns - 1) / 2)


def _add_library(
    sums: Sums, device: SpeedDevice, place: int, weight: ClassWeights, flop: float, n_times: float
) -> None:
    """Products by the vendor's library, quantized weights written out as FP16 before, `n_times` all of them."""
    if not flop:
        return
    suffix = "_experts" if weight.is_expert else ""
    whole = weight.type_class in WHOLE_TYPES
    called_as = weight.type_class if whole else "F16"
    sums.add(place, f"multiply_library{suffix}", called_as, flop / device.matrix_flop_per_s)
    if not whole:
        written = 2 * F16_BYTES * weight.n_elements * n_times  # and read again
        sums.add(place, "write_out", weight.type_class, written / device.memory_bytes_per_s)
