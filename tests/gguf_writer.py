"""Writes small GGUF files for tests: any metadata, any tensor table, weights as a hole in the file.

Independent of the reader under test: it shares no code and no tables with it. Values are given with their
GGUF type: `("uint32", 5)`, `("string", "llama")`, `("array", ("float32", [1.0, 2.0]))`.
"""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

TYPE_IDS = {
    "uint8": 0, "int8": 1, "uint16": 2, "int16": 3, "uint32": 4, "int32": 5, "float32": 6, "bool": 7,
    "string": 8, "array": 9, "uint64": 10, "int64": 11, "float64": 12,
}  # fmt: skip
_FORMATS = {
    "uint8": "<B", "int8": "<b", "uint16": "<H", "int16": "<h", "uint32": "<I", "int32": "<i",
    "float32": "<f", "bool": "<?", "uint64": "<Q", "int64": "<q", "float64": "<d",
}  # fmt: skip

Value = tuple[str, object]
"""A GGUF type and a value of it."""

Tensor = tuple[str, Sequence[int], int, int]
"""Name, shape in ggml's order, type id, bytes of its data."""


def gguf_string(text: str | bytes) -> bytes:
    """A length and the text."""
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw)) + raw


def gguf_value(value: Value) -> bytes:
    """A value without its type."""
    kind, content = value
    if kind == "string":
        assert isinstance(content, str | bytes)
        return gguf_string(content)
    if kind == "array":
        assert isinstance(content, tuple)
        element, items = content
        head = struct.pack("<IQ", TYPE_IDS[element], len(items))
        if element in _FORMATS:
            return head + struct.pack(f"<{len(items)}{_FORMATS[element][1]}", *items)
        return head + b"".join(gguf_value((element, item)) for item in items)
    return struct.pack(_FORMATS[kind], content)


def gguf_header(
    metadata: Mapping[str, Value], tensors: Sequence[Tensor] = (), *, version: int = 3, alignment: int = 32
) -> bytes:
    """Everything before the padding in front of the weights."""
    out = bytearray(b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata)))
    for key, value in metadata.items():
        out += gguf_string(key) + struct.pack("<I", TYPE_IDS[value[0]]) + gguf_value(value)
    offset = 0
    for name, shape, type_id, n_bytes in tensors:
        out += gguf_string(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        out += struct.pack("<IQ", type_id, offset)
        offset += -(-n_bytes // alignment) * alignment
    return bytes(out)


def write_gguf(
    path: Path,
    metadata: Mapping[str, Value],
    tensors: Sequence[Tensor] = (),
    *,
    version: int = 3,
    alignment: int = 32,
) -> Path:
    """Write a file whose weights are a hole of the right size: it takes no room on the disk."""
    header = gguf_header(metadata, tensors, version=version, alignment=alignment)
    end = -(-len(header) // alignment) * alignment if tensors else len(header)
    for index, (_, _, _, n_bytes) in enumerate(tensors):
        is_last = index == len(tensors) - 1
        end += n_bytes if is_last else -(-n_bytes // alignment) * alignment
    path.write_bytes(header)
    with path.open("r+b") as file:
        file.truncate(end)
    return path
