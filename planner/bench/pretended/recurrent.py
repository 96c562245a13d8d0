"""Which part of a context's memory is recurrent state, exactly: asked of the C++ objects that hold it.

The engine's C interface tells the sum of cache and state only, and its log rounds to 0.01 MiB. The classes'
functions are exported by libllama, so they can be called by their mangled names; objects are told apart by
their virtual tables.
"""

import ctypes
from collections.abc import Iterator
from typing import Any

_BREAKDOWN = {
    "llama_memory_recurrent": "_ZNK22llama_memory_recurrent16memory_breakdownEv",
    "llama_dsv4_comp_state": "_ZNK21llama_dsv4_comp_state16memory_breakdownEv",
}
# Class of a context's memory: how to get at the states in it, and of which class those are.
_STATES = {
    "22llama_memory_recurrent": ((None, "llama_memory_recurrent"),),
    "19llama_memory_hybrid": (("_ZNK19llama_memory_hybrid12get_mem_recrEv", "llama_memory_recurrent"),),
    "23llama_memory_hybrid_idx": (("_ZNK19llama_memory_hybrid12get_mem_recrEv", "llama_memory_recurrent"),),
    "24llama_memory_hybrid_iswa": (
        ("_ZNK24llama_memory_hybrid_iswa12get_mem_recrEv", "llama_memory_recurrent"),
    ),
    "19llama_kv_cache_dsv4": tuple(
        (f"_ZNK19llama_kv_cache_dsv413get_{kind}_stateEv", "llama_dsv4_comp_state")
        for kind in ("csa", "hca", "lid")
    ),
}
_VTABLE_HEADER_BYTES = 16  # offset to the top and type information, before the functions


class _Map(ctypes.Structure):
    """A std::map of libstdc++, returned by value."""

    _fields_ = (("words", ctypes.c_uint64 * 6),)


def state_by_buffer_type(raw: Any, memory: int | None) -> dict[str, int]:
    """Bytes of recurrent state by the name of the buffer type; empty for models without any."""
    found: dict[str, int] = {}
    if not memory:
        return found
    table = ctypes.c_void_p.from_address(memory).value or 0
    for name, states in _STATES.items():
        if table != _vtable(raw, name):
            continue
        for getter, kind in states:
            holder: int = memory if getter is None else _call(raw, getter, ctypes.c_void_p, memory)
            for buffer_type, n_bytes in _breakdown(raw, _BREAKDOWN[kind], holder):
                buffer_name = raw.ggml_backend_buft_name(buffer_type).decode("utf-8", "replace")
                found[buffer_name] = found.get(buffer_name, 0) + n_bytes
    return found


def _vtable(raw: Any, name: str) -> int | None:
    try:
        table = ctypes.c_char.in_dll(raw, f"_ZTV{name}")
    except ValueError:  # this build has no such class
        return None
    return ctypes.addressof(table) + _VTABLE_HEADER_BYTES


def _call(raw: Any, symbol: str, result: Any, this: int) -> Any:
    function = getattr(raw, symbol)
    function.restype, function.argtypes = result, [ctypes.c_void_p]
    return function(this)


def _breakdown(raw: Any, symbol: str, this: int) -> Iterator[tuple[int, int]]:
    """Nodes of the map: colour, parent, left, right, then key and value."""
    pending = [_call(raw, symbol, _Map, this).words[2]]
    while pending:
        address = pending.pop()
        if address:
            node = (ctypes.c_uint64 * 6).from_address(address)
            pending += [node[2], node[3]]
            yield node[4], node[5]
