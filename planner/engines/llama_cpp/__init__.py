"""llama.cpp: what it allocates where, and which flags say so.

Rules are read from the engine's source as shipped with llama-cpp-python 0.3.36. Each says which builds it
holds for; docs/formulas.md has the checks.
"""

from planner.engines.llama_cpp.cache import (
    CELL_PADDING,
    F16_BYTES,
    cache_cells,
    cells_per_stream,
    entry_bytes,
    kv_bytes,
    layer_kv_bytes,
    layer_state_bytes,
    output_bytes,
    padded,
    row_bytes,
    state_bytes,
)
from planner.engines.llama_cpp.compute import compute_bytes, hidden_compute_bytes
from planner.engines.llama_cpp.flags import LlamaCppFlags
from planner.engines.llama_cpp.layout import ComputeBuffers, Layout
from planner.engines.llama_cpp.rules import MAINLINE, Mainline, Rules
from planner.engines.llama_cpp.runs_as import EXPANDS_LATENTS, IGNORES_WINDOWS, INDEX_STORES_VALUES, as_run
from planner.engines.llama_cpp.split import Split, TensorOverride, layer_gpus

__all__ = [
    "CELL_PADDING", "EXPANDS_LATENTS", "F16_BYTES", "IGNORES_WINDOWS", "INDEX_STORES_VALUES", "MAINLINE",
    "ComputeBuffers", "Layout", "LlamaCppFlags", "Mainline", "Rules", "Split", "TensorOverride", "as_run",
    "cache_cells", "cells_per_stream", "compute_bytes", "entry_bytes", "hidden_compute_bytes", "kv_bytes",
    "layer_gpus", "layer_kv_bytes", "layer_state_bytes", "output_bytes", "padded", "row_bytes", "state_bytes",
]  # fmt: skip
