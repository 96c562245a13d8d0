"""Multiplying a prompt's tokens by weights: the operators of each way that `kernels` knows."""

from planner.model.weight import expected_read_share
from planner.speed.batched import VECTOR_TOKENS
from planner.speed.device import SpeedDevice
from planner.speed.kernels import WHOLE_TYPES, expert_columns, has_vector_experts, uses_library
from planner.speed.operator_time import F16_BYTES, LAUNCH_S, Sums
from planner.speed.setting import Setting
from planner.speed.work import ClassWeights


def add_product(
    sums: Sums, device: SpeedDevice, place: int, weight: ClassWeights, moved_bytes: float, n_tokens: int,
    n_batches: float, setting: Setting,
) -> None:  # fmt: skip
    """A prompt's tokens by weights of one class, which are read once for each micro-batch."""
    suffix = "_experts" if weight.is_expert else ""
    small = n_tokens <= VECTOR_TOKENS
    name = f"{'vector' if small else 'batch'}_read{suffix}"
    sums.add(place, name, weight.type_class, moved_bytes / device.memory_bytes_per_s)
    if not weight.n_elements:
        return
    flop = 2 * weight.n_elements * weight.active_fraction * n_tokens
    rate = device.product_flop_per_s(whole=weight.type_class in WHOLE_TYPES)
    in_batch = n_tokens / n_batches
    reached = expected_read_share(weight.active_fraction, in_batch) if weight.is_expert else 1.0
    by_library = uses_library(weight.type_class, device, setting, in_batch, weight.n_experts)
    each = in_batch * weight.active_fraction / reached  # tokens that a matrix meets, if any
    if small:
        sums.add(place, f"vector_multiply{suffix}", weight.type_class, flop / rate)
    elif by_library and uses_library(weight.type_class, device, setting, each):
        _add_library(sums, device, place, weight, flop, reached * n_batches)
    else:
        sums.add(place, f"multiply{suffix}", weight.type_class, flop / rate)
        if weight.type_class not in WHOLE_TYPES:
            sums.add(place, "rescale", weight.type_class, flop / device.vector_flop_per_s)
    tiled = not has_vector_experts(device, setting) if small else not by_library
    if weight.is_expert and tiled:
        wasted = reached * _wasted_columns(expert_columns(device, in_batch), each)
        more = 2 * weight.n_elements * wasted * n_batches
        sums.add(place, "multiply_padding", "", more / device.matrix_flop_per_s)
    if by_library and weight.is_expert and not small:
        sums.add(place, "call_library", "", LAUNCH_S * weight.n_matrices * reached * n_batches)


def _wasted_columns(columns: float, each: float) -> float:
    """Columns beyond the tokens that an expert meets: one tile at least, the last one half full on average."""
    return max(columns - each, (columns - 1) / 2)


def _add_library(
    sums: Sums, device: SpeedDevice, place: int, weight: ClassWeights, flop: float, n_times: float
) -> None:
    """Products by the vendor's library, quantized weights written out as FP16 before, `n_times` all of them."""
    suffix = "_experts" if weight.is_expert else ""
    whole = weight.type_class in WHOLE_TYPES
    called_as = weight.type_class if whole else "F16"
    sums.add(place, f"multiply_library{suffix}", called_as, flop / device.matrix_flop_per_s)
    if not whole:
        written = 2 * F16_BYTES * weight.n_elements * n_times  # and read again
        sums.add(place, "write_out", weight.type_class, written / device.memory_bytes_per_s)
