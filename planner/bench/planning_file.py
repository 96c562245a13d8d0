"""A GGUF file that is only good for planning: a header with the keys and tensors of a model, the rest a hole.

Written from what a reader found in a file that lies elsewhere, or from a described network. The vocabulary is
left out: its size is all that memory depends on, and the engine then plans ten times as fast.
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from planner.errors import BenchError

_ALIGNMENT = 32
# enum gguf_type of ggml's gguf.h.
_UINT32, _INT32, _FLOAT32, _BOOL, _STRING, _ARRAY, _UINT64, _INT64 = 4, 5, 6, 7, 8, 9, 10, 11
_DROPPED = ("tokenizer.", "split.", "general.alignment")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTensor:
    """One tensor of the table; `shape` is in ggml's order, row length first."""

    name: str
    shape: tuple[int, ...]
    type_id: int
    n_bytes: int


def write_planning_file(
    path: Path,
    metadata: Mapping[str, object],
    tensors: Iterable[PlannedTensor],
    *,
    n_vocabulary: int | None,
) -> Path:
    """Writes the header; the file has its full size and takes some kilobytes of disk."""
    layout = gguf_layout(metadata, tensors, n_vocabulary=n_vocabulary)
    with path.open("wb") as file:
        file.write(layout.header)
        file.truncate(layout.n_bytes)
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufLayout:
    """A file about to be written: its header, where each tensor's data starts, and its whole size."""

    header: bytes
    starts: tuple[int, ...]
    n_bytes: int


def gguf_layout(
    metadata: Mapping[str, object], tensors: Iterable[PlannedTensor], *, n_vocabulary: int | None
) -> GgufLayout:
    """The header with these keys and tensors, without a vocabulary.

    `n_vocabulary` is needed where the metadata does not say it; values that are neither numbers, text nor short
    lists are left out.
    """
    architecture = metadata.get("general.architecture")
    if not isinstance(architecture, str):
        raise BenchError("a GGUF without general.architecture cannot be planned with; name another file")
    keys = {key: value for key, value in metadata.items() if not key.startswith(_DROPPED)}
    keys["tokenizer.ggml.model"] = "no_vocab"
    size_key = f"{architecture}.vocab_size"
    if size_key not in keys:
        if n_vocabulary is None:
            raise BenchError(
                "the size of the vocabulary is unknown, so llama.cpp cannot plan; name the GGUF file"
            )
        keys[size_key] = n_vocabulary
    packed = [_key(key, found) for key, value in keys.items() if (found := _value(value)) is not None]
    table = bytearray()
    offset = end = 0
    offsets = []
    for tensor in tensors:
        table += _text(tensor.name) + struct.pack("<I", len(tensor.shape))
        table += struct.pack(f"<{len(tensor.shape)}Q", *tensor.shape) + struct.pack(
            "<IQ", tensor.type_id, offset
        )
        offsets.append(offset)
        end = offset + tensor.n_bytes
        offset = -(-end // _ALIGNMENT) * _ALIGNMENT
    header = b"GGUF" + struct.pack("<IQQ", 3, len(offsets), len(packed)) + b"".join(packed) + bytes(table)
    data = -(-len(header) // _ALIGNMENT) * _ALIGNMENT
    return GgufLayout(header=header, starts=tuple(data + offset for offset in offsets), n_bytes=data + end)


def _key(name: str, value: bytes) -> bytes:
    return _text(name) + value


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _value(value: object) -> bytes | None:
    """A value behind its type, as converters write it: whole numbers in 32 bits where they fit."""
    if isinstance(value, list | tuple):
        kinds = {_type_of(item) for item in value}
        if kinds == {_UINT32, _INT32}:
            kinds = {_INT32}
        if len(kinds) != 1 or None in kinds:
            return None
        (kind,) = kinds
        assert kind is not None
        items = b"".join(_packed(kind, item) for item in value)
        return struct.pack("<IIQ", _ARRAY, kind, len(value)) + items
    found = _type_of(value)
    return None if found is None else struct.pack("<I", found) + _packed(found, value)


def _type_of(value: object) -> int | None:
    if isinstance(value, bool):
        return _BOOL
    if isinstance(value, int):
        if value < 0:
            return _INT32 if value >= -(2**31) else _INT64
        return _UINT32 if value < 2**32 else _UINT64
    if isinstance(value, float):
        return _FLOAT32
    return _STRING if isinstance(value, str) else None


def _packed(kind: int, value: object) -> bytes:
    if kind == _STRING:
        assert isinstance(value, str)
        return _text(value)
    formats = {_UINT32: "<I", _INT32: "<i", _FLOAT32: "<f", _BOOL: "<?", _UINT64: "<Q", _INT64: "<q"}
    return struct.pack(formats[kind], value)
