"""What the log says of weights in main memory: mapped stretches of the file, and copies for the processor.

Neither is memory that has to be free. Of a mapped file the engine names the stretch from the first to the last
tensor that it reads there, with those of the GPUs in between (llama_model_loader::get_mapping_range); pages that
nobody touches are never read. From llama.cpp as shipped with llama-cpp-python 0.3.36.
"""

from collections.abc import Callable, Iterable
from math import prod
from types import MappingProxyType
from typing import Final

from planner.engines.llama_cpp.weights import host_tensor_bytes, tensor_name
from planner.model.ggml_types import type_by_name
from planner.model.storage import Storage, StoredWeight

# Bytes that AMX adds to a block, for sums and scales of its own (get_row_size in ggml-cpu/amx/mmq.cpp).
_AMX_EXTRA: Final = MappingProxyType(
    {"Q4_0": 0, "Q4_1": 0, "Q8_0": 4, "Q4_K": 4, "Q5_K": 4, "Q6_K": 0, "IQ4_XS": 2}
)
_AMX_ROWS: Final = 32  # TILE_N * 2: outputs come in multiples of it
INPUT_ROLES: Final = ("token_embd", "position_embd", "token_types", "per_layer_token_embd")


def in_file_order(storage: Storage, *, converted: bool = False) -> tuple[StoredWeight, ...]:
    """Tensors as the quantizer writes them: by layer, then by name (weight_name_comparer).

    Files `converted` from a repository, and those of quantizers before November 2024, keep the order of its parts,
    each sorted by name: the table first, the head ("lm_head") in front of the last layers, the final norm last.
    """
    if converted:
        n_layers = 1 + max((w.layer for w in storage.weights if w.layer is not None), default=-1)
        place = {"token_embd": -1, "output": n_layers - 1.5, "output_norm": n_layers}
        return tuple(
            sorted(storage.weights, key=lambda w: place.get(w.role, -1) if w.layer is None else w.layer)
        )
    return tuple(sorted(storage.weights, key=lambda w: (-1 if w.layer is None else w.layer, tensor_name(w))))


def mapped_bytes(
    storage: Storage,
    is_on_host: Callable[[StoredWeight], bool],
    n_files: int = 1,
    *,
    converted: bool = False,
) -> int:
    """Bytes between the first and the last tensor on the host, of each file, of files of one size each."""
    ordered = in_file_order(storage, converted=converted)
    share = storage.total_bytes / max(1, n_files)
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    offset = 0
    for weight in ordered:
        file = min(int(offset / share), n_files - 1) if share else 0
        if is_on_host(weight):
            first.setdefault(file, offset)
            last[file] = offset + host_tensor_bytes(weight)
        offset += host_tensor_bytes(weight)
    return sum(last[file] - start for file, start in first.items())


def amx_bytes(weights: Iterable[StoredWeight]) -> int:
    """Bytes of the copies that a processor with AMX keeps of matrices, experts apart (extra_buffer_type)."""
    return sum(_amx_tensor_bytes(weight) for weight in weights if has_amx_kernels(weight))


def has_amx_kernels(weight: StoredWeight) -> bool:
    """Whether a processor with AMX multiplies with it from a copy of its own."""
    is_matrix = len(weight.shape) >= 2 and prod(weight.shape[2:]) == 1
    return (
        is_matrix
        and weight.type_name in _AMX_EXTRA
        and weight.role not in INPUT_ROLES
        and weight.shape[1] % _AMX_ROWS == 0
    )


def _amx_tensor_bytes(weight: StoredWeight) -> int:
    ggml_type = type_by_name(weight.type_name)
    n_blocks = weight.n_elements // ggml_type.block_elements
    return n_blocks * (ggml_type.block_bytes + _AMX_EXTRA[weight.type_name])
