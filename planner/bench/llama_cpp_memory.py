"""How much memory the engine allocates: read from its log, or asked of it exactly. Used in the child process.

The exact way calls llama_get_memory_breakdown, a C++ function that libllama exports and returns a std::map;
it is read by its layout in libstdc++, so only on Linux. Elsewhere the sizes printed in the log must do.
"""

import ctypes
import re
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hardware.units import MIB
from planner.bench.protocol import EngineBuffer
from planner.estimate.measurement import EngineMemory

_LOG_DEBUG, _LOG_WARN, _LOG_ERROR = 1, 3, 4  # enum ggml_log_level
_BUFFER_LINE = re.compile(r"(\S+)\s+(model|KV|RS|compute|output|DSV4 .*state) buffer size = +([\d.]+) MiB")
_RECURRENT_LINE = re.compile(r"size = +([\d.]+) MiB .*\), R \(")
_FLASH_LINE = re.compile(r"flash_attn +(?:type +)?= (auto|enabled|disabled)")
_EMPTY_COMPLAINTS = ("failed to load model", "failed to initialize the context")
_MAX_INFO_LINES = 2000
_BREAKDOWN_SYMBOL = "_Z26llama_get_memory_breakdownPK13llama_context"


class EngineError(Exception):
    """The engine refused or failed; the message is one line."""


@dataclass(slots=True)
class EngineLog:
    """What the engine printed that matters: buffer sizes, flash attention, and its last complaints."""

    buffers: list[tuple[str, str, float]] = field(default_factory=list)  # name, component, MiB
    recurrent_mib: float = 0.0
    flash_attention: bool | None = None
    complaints: deque[str] = field(default_factory=lambda: deque(maxlen=20))
    info: list[str] = field(default_factory=list)  # lines about the context under way

    def forget_model(self) -> None:
        """Before another model is loaded."""
        self.buffers.clear()

    def forget_context(self, flash_attention: bool | None) -> None:
        """Before another context is created: only the model's sizes stay."""
        self.buffers[:] = [line for line in self.buffers if line[1] == "model"]
        self.recurrent_mib = 0.0
        self.flash_attention = flash_attention
        self.info.clear()

    def add(self, level: int, text: str) -> None:
        """One log line of the engine."""
        if level == _LOG_DEBUG:
            return
        if level in (_LOG_WARN, _LOG_ERROR):
            self.complaints.append(text.strip())
            sys.stderr.write(text)
            sys.stderr.flush()
        if len(self.info) < _MAX_INFO_LINES:
            self.info.append(text.strip())
        if match := _BUFFER_LINE.search(text):
            self.buffers.append((match[1], match[2], float(match[3])))
        elif match := _RECURRENT_LINE.search(text):
            self.recurrent_mib += float(match[1])
        elif "Flash Attention enabled" in text or "Flash Attention was auto, set to enabled" in text:
            self.flash_attention = True
        elif match := _FLASH_LINE.search(text):  # as asked, unless the model or the cache's type decides
            self.flash_attention = None if match[1] == "auto" else match[1] == "enabled"

    def total_mib(self, *components: str) -> float:
        """Sum of the printed sizes of some components, in the MiB of the engine's log."""
        return sum(mib for _, component, mib in self.buffers if component.startswith(components))

    def last_complaint(self, fallback: str) -> str:
        """The engine's last warning or error that says more than that it failed, for a message."""
        telling = [line for line in self.complaints if not line.endswith(_EMPTY_COMPLAINTS)]
        return (telling or list(self.complaints) or [fallback])[-1]


class _BreakdownMap(ctypes.Structure):
    """A std::map of libstdc++: comparator, header colour, root, leftmost, rightmost, size."""

    _fields_ = (("words", ctypes.c_uint64 * 6),)


def memory_breakdown(raw: Any, context: Any) -> tuple[EngineBuffer, ...] | None:
    """Exact bytes by kind of memory; None where the C++ call cannot be reached."""
    function = getattr(raw, _BREAKDOWN_SYMBOL, None)
    if function is None or not _uses_libstdcxx():
        return None
    # Declared as a struct by value, so that libffi passes the hidden result pointer as each ABI wants it.
    function.restype, function.argtypes = _BreakdownMap, [ctypes.c_void_p]
    raw.ggml_backend_buft_name.restype = ctypes.c_char_p
    raw.ggml_backend_buft_name.argtypes = [ctypes.c_void_p]
    words = function(context).words
    buffers = [
        EngineBuffer(
            name=raw.ggml_backend_buft_name(node[4]).decode("utf-8", "replace"),
            weights_bytes=node[5],
            context_bytes=node[6],
            compute_bytes=node[7],
        )
        for node in _nodes(words[2])
    ]
    if len(buffers) != words[5]:
        raise EngineError(f"the engine announced {words[5]} buffers and listed {len(buffers)}")
    return tuple(sorted(buffers, key=lambda buffer: buffer.name))


def _nodes(root: int) -> Iterator[Any]:
    """Nodes of a libstdc++ red-black tree: colour, parent, left, right, then key and three sizes."""
    pending = [root]
    while pending:
        address = pending.pop()
        if address:
            node = (ctypes.c_uint64 * 8).from_address(address)
            pending += [node[2], node[3]]
            yield node


def engine_memory(log: EngineLog, buffers: tuple[EngineBuffer, ...] | None, model_bytes: int) -> EngineMemory:
    """What a context and its model allocate: exact where the engine can be asked, else from its log."""
    output_bytes = round(log.total_mib("output") * MIB)
    # Recurrent state is printed to 0.01 MiB; without allocation only its summary line has a size.
    state_bytes = round(max(log.total_mib("RS", "DSV4"), log.recurrent_mib) * MIB)
    if buffers is not None:
        context_bytes = sum(buffer.context_bytes for buffer in buffers)
        state_bytes = min(state_bytes, context_bytes)
        if context_bytes - state_bytes < 0.01 * MIB:  # rounding, not a cache
            state_bytes = context_bytes
        return EngineMemory(
            weights_bytes=sum(buffer.weights_bytes for buffer in buffers),
            kv_bytes=context_bytes - state_bytes,
            state_bytes=state_bytes,
            compute_bytes=sum(buffer.compute_bytes for buffer in buffers),
            output_bytes=output_bytes,
        )
    models = [(name, round(mib * MIB)) for name, component, mib in log.buffers if component == "model"]
    own_bytes = sum(n_bytes for name, n_bytes in models if "Mapped" not in name)
    mapped_bytes = sum(n_bytes for name, n_bytes in models if "Mapped" in name)
    # A mapped buffer is printed with the whole range of the file it spans, also what lives elsewhere.
    mapped_bytes = min(mapped_bytes, max(0, model_bytes - own_bytes))
    return EngineMemory(
        weights_bytes=own_bytes + mapped_bytes,
        kv_bytes=round(log.total_mib("KV") * MIB),
        state_bytes=state_bytes,
        compute_bytes=round(log.total_mib("compute") * MIB),
        output_bytes=output_bytes,
    )


def _uses_libstdcxx() -> bool:
    maps = Path("/proc/self/maps")
    return maps.is_file() and "libstdc++" in maps.read_text(errors="replace")
