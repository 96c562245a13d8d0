"""The bytes of one GGUF file's header: metadata values, long arrays left unread, and the tensor table.

Follows the format description in ggml's docs/gguf.md and the checks of ggml/src/gguf.cpp. Only the header is
fetched, in growing pieces, so the same code reads a local file and a file on a server. Everything is bounded:
a header is at most 64 MiB, and no count in it is trusted before the file is known to be large enough for it.
"""

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import repeat

from hardware.units import KIB, MIB, format_bytes
from planner.errors import MalformedError
from planner.model.ggml_types import GGML_TYPES, REMOVED_GGML_TYPES
from planner.readers.byte_source import ByteSource
from planner.readers.quoting import quoted

_FIRST_CHUNK_BYTES = 512 * KIB
_MAX_HEADER_BYTES = 64 * MIB  # the longest known, of a vocabulary of 262,144, are about 20
_MAX_STRING_BYTES = 64 * MIB
_MAX_KEY_BYTES = 64 * KIB
_MAX_KEYS = 65_536
_MAX_TENSORS = 262_144
_MAX_DIMENSIONS = 4
_MAX_DEPTH = 4
_SMALL_ARRAY = 4096
_MAX_TUPLE_ELEMENTS = 262_144  # over all small arrays together: an element of one byte becomes eight or more
_MIN_KEY_BYTES = 8 + 1 + 4 + 1
_MIN_TENSOR_BYTES = 8 + 4 + 4 + 8
_DEFAULT_ALIGNMENT = 32

_STRING = 8
_ARRAY = 9
_SCALARS = {
    0: ("uint8", struct.Struct("<B")),
    1: ("int8", struct.Struct("<b")),
    2: ("uint16", struct.Struct("<H")),
    3: ("int16", struct.Struct("<h")),
    4: ("uint32", struct.Struct("<I")),
    5: ("int32", struct.Struct("<i")),
    6: ("float32", struct.Struct("<f")),
    7: ("bool", struct.Struct("<?")),
    10: ("uint64", struct.Struct("<Q")),
    11: ("int64", struct.Struct("<q")),
    12: ("float64", struct.Struct("<d")),
}
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_FOREIGN_MAGICS = {
    b"lmgg": "a pre-GGUF ggml file of 2023; convert the model again",
    b"fmgg": "a pre-GGUF ggml file of 2023; convert the model again",
    b"tjgg": "a pre-GGUF ggml file of 2023; convert the model again",
    b"algg": "a pre-GGUF LoRA file of 2023; convert it again",
    b"vers": "a Git LFS pointer, not the model itself; run git lfs pull",
    b"<!DO": "a web page, not a model; download the file itself",
    b"<htm": "a web page, not a model; download the file itself",
    b"PK\x03\x04": "a zip archive; unpack it first",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufArray:
    """A long metadata array, such as a vocabulary: its element type and length; values only on demand."""

    element_type: str
    length: int
    offset: int
    n_bytes: int
    type_id: int = field(repr=False)
    source: ByteSource = field(repr=False, compare=False)

    def __len__(self) -> int:
        return self.length

    def values(self, limit: int | None = None) -> tuple[object, ...]:
        """The first `limit` values (all of them without a limit), read from the file now."""
        n_values = self.length if limit is None else max(0, min(limit, self.length))
        cursor = _Cursor(self.source, self.offset)
        return tuple(cursor.value(self.type_id, depth=1) for _ in range(n_values))


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufTensor:
    """One tensor of the table; `shape` is in ggml's order (row length first), `offset` is in its part file."""

    name: str
    shape: tuple[int, ...]
    type_id: int
    type_name: str
    n_elements: int
    n_bytes: int
    offset: int
    part: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufHeader:
    """What the header of one file says, before parts of a split model are joined."""

    version: int
    metadata: Mapping[str, object]
    tensors: tuple[GgufTensor, ...]
    header_bytes: int
    alignment: int
    fingerprint: str


def parse_header(source: ByteSource, *, part: int, allow_missing_weights: bool) -> GgufHeader:
    """Read and check the header of one file; raises MalformedError for anything the format forbids."""
    cursor = _Cursor(source, 0)
    version, n_tensors, n_keys = _counts(cursor)
    metadata: dict[str, object] = {}
    for _ in range(n_keys):
        key = cursor.key()
        if key in metadata:
            raise cursor.malformed(f"the metadata key {quoted(key)} appears twice")
        metadata[key] = cursor.value(cursor.u32(), depth=0)
    alignment = _alignment(cursor, metadata)
    rows = [_tensor_row(cursor) for _ in range(n_tensors)]
    header_bytes = cursor.position
    data_start = -(-header_bytes // alignment) * alignment
    tensors = tuple(
        GgufTensor(
            name=name,
            shape=shape,
            type_id=type_id,
            type_name=GGML_TYPES[type_id].name,
            n_elements=n_elements,
            n_bytes=n_bytes,
            offset=data_start + offset,
            part=part,
        )
        for name, shape, type_id, n_elements, n_bytes, offset in rows
    )
    _check_layout(cursor, tensors, alignment, allow_missing_weights)
    return GgufHeader(
        version=version,
        metadata=metadata,
        tensors=tensors,
        header_bytes=header_bytes,
        alignment=alignment,
        fingerprint=cursor.sha256(),
    )


class _Cursor:
    """A place in a header, with the bytes fetched so far from `start` on."""

    __slots__ = ("_buffer", "_elements_left", "_index", "_source", "_start")

    def __init__(self, source: ByteSource, start: int) -> None:
        self._source = source
        self._start = start
        self._buffer = bytearray()
        self._index = 0  # into the buffer
        self._elements_left = _MAX_TUPLE_ELEMENTS

    @property
    def position(self) -> int:
        return self._start + self._index

    @property
    def remaining_bytes(self) -> int:
        return self._source.n_bytes - self.position

    def malformed(self, what: str) -> MalformedError:
        return MalformedError(f"{quoted(self._source.name)} is not a usable GGUF file: {what}")

    def sha256(self) -> str:
        return hashlib.sha256(memoryview(self._buffer)[: self._index]).hexdigest()

    def _need(self, n_bytes: int) -> int:
        """Have `n_bytes` in the buffer from here on; returns the index to read at, and moves past them."""
        index = self._index
        end = index + n_bytes
        if end > len(self._buffer):
            self._fetch(end)
        self._index = end
        return index

    def _fetch(self, end: int) -> None:
        source, buffer = self._source, self._buffer
        if self._start + end > source.n_bytes:
            missing = self._start + end - source.n_bytes
            raise self.malformed(
                f"it ends inside its header, {missing:,} bytes or more are missing; download it again"
            )
        if end > _MAX_HEADER_BYTES:
            raise self.malformed(f"its header is larger than {format_bytes(_MAX_HEADER_BYTES)}")
        while len(buffer) < end:
            # A tenth more each time: few requests for a long header, and at most a tenth fetched in vain.
            wanted = max(_FIRST_CHUNK_BYTES, len(buffer) // 10)
            offset = self._start + len(buffer)
            chunk = source.read(offset, min(wanted, source.n_bytes - offset))
            if not chunk:
                raise self.malformed(f"reading stopped at byte {offset:,} of {source.n_bytes:,}")
            buffer += chunk

    def u32(self) -> int:
        value: int = _U32.unpack_from(self._buffer, self._need(4))[0]
        return value

    def u64(self) -> int:
        value: int = _U64.unpack_from(self._buffer, self._need(8))[0]
        return value

    def magic(self) -> bytes:
        index = self._need(4)
        return bytes(self._buffer[index : index + 4])

    def string(self, max_bytes: int = _MAX_STRING_BYTES) -> bytes:
        length = self.u64()
        if length > min(max_bytes, self.remaining_bytes):
            raise self.malformed(
                f"a string at byte {self.position:,} claims {length:,} bytes; "
                f"{self.remaining_bytes:,} are left and {max_bytes:,} are allowed"
            )
        index = self._need(length)
        return bytes(self._buffer[index : index + length])

    def key(self) -> str:
        """A metadata key or tensor name, which unlike a value must be valid text."""
        raw = self.string(_MAX_KEY_BYTES)
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.malformed(f"the name before byte {self.position:,} is not UTF-8") from error
        if not text:
            raise self.malformed(f"the name before byte {self.position:,} is empty")
        return text

    def value(self, type_id: int, depth: int) -> object:
        """The metadata value here: a number, bool, text, tuple of a short array, or GgufArray of a long one."""
        scalar = _SCALARS.get(type_id)
        if scalar is not None:
            value: int | float | bool = scalar[1].unpack_from(self._buffer, self._need(scalar[1].size))[0]
            return value
        if type_id == _STRING:
            # Token texts of some models are not valid UTF-8; what they hold does not change any size.
            return self.string().decode("utf-8", errors="replace")
        if type_id == _ARRAY:
            return self._array(depth + 1)
        raise self.malformed(f"the value at byte {self.position:,} has the unknown type {type_id}")

    def _array(self, depth: int) -> "tuple[object, ...] | GgufArray":
        if depth > _MAX_DEPTH:
            raise self.malformed(f"arrays are nested more than {_MAX_DEPTH} deep")
        type_id, length = self.u32(), self.u64()
        scalar = _SCALARS.get(type_id)
        least = scalar[1].size if scalar else {_STRING: 8, _ARRAY: 12}.get(type_id)
        if least is None:
            raise self.malformed(
                f"the array at byte {self.position:,} has the unknown element type {type_id}"
            )
        if length * least > self.remaining_bytes:
            raise self.malformed(
                f"the array at byte {self.position:,} claims {length:,} elements, which need "
                f"{length * least:,} bytes; {self.remaining_bytes:,} are left"
            )
        if length > _SMALL_ARRAY or length > self._elements_left:
            return self._long_array(type_id, length)
        self._elements_left -= length
        if scalar:
            index = self._need(length * least)
            return struct.unpack_from(f"<{length}{scalar[1].format[-1]}", self._buffer, index)
        return tuple(self.value(type_id, depth) for _ in range(length))

    def _long_array(self, type_id: int, length: int) -> GgufArray:
        start = self.position
        scalar = _SCALARS.get(type_id)
        if scalar:
            self._need(length * scalar[1].size)
        elif type_id == _STRING:
            self._skip_strings(length)
        else:
            raise self.malformed(f"an array of {length:,} arrays is more than any model has")
        return GgufArray(
            element_type=scalar[0] if scalar else "string",
            length=length,
            offset=start,
            n_bytes=self.position - start,
            type_id=type_id,
            source=self._source,
        )

    def _skip_strings(self, length: int) -> None:
        """Walk over `length` strings: only their lengths are looked at, for a vocabulary has 10⁵ of them."""
        unpack, buffer, index = _U64.unpack_from, self._buffer, self._index
        longest = min(_MAX_STRING_BYTES, self.remaining_bytes)
        last = len(buffer) - 8  # the last place where a length can be read from what has been fetched
        for _ in repeat(None, length):
            if index > last:
                self._fetch(index + 8)
                last = len(buffer) - 8
            n_bytes = unpack(buffer, index)[0]
            if n_bytes > longest:
                self._index = index
                raise self.malformed(
                    f"a string at byte {self.position:,} claims {n_bytes:,} bytes; "
                    f"at most {longest:,} are possible"
                )
            index += 8 + n_bytes
        self._index = index
        self._need(0)


def _counts(cursor: _Cursor) -> tuple[int, int, int]:
    """Version, number of tensors and number of metadata keys, from the fixed part at the front."""
    if cursor.remaining_bytes < 24:
        raise cursor.malformed(
            f"it has {cursor.remaining_bytes} bytes, fewer than the 24 every GGUF starts with"
        )
    magic = cursor.magic()
    if magic != b"GGUF":
        what = _FOREIGN_MAGICS.get(magic, "name a .gguf file")
        raise cursor.malformed(f"it starts with {magic!r} instead of b'GGUF': {what}")
    version = cursor.u32()
    if version & 0xFFFF == 0:
        raise cursor.malformed("it is big-endian; only little-endian files are read, convert it")
    if version == 1:
        raise cursor.malformed(
            "it is GGUF version 1 of August 2023; versions 2 and 3 are read, convert it again"
        )
    if version not in (2, 3):
        raise cursor.malformed(f"it is GGUF version {version}; versions 2 and 3 are read")
    n_tensors, n_keys = cursor.u64(), cursor.u64()
    needed = n_tensors * _MIN_TENSOR_BYTES + n_keys * _MIN_KEY_BYTES
    if n_tensors > _MAX_TENSORS or n_keys > _MAX_KEYS or needed > cursor.remaining_bytes:
        raise cursor.malformed(
            f"it claims {n_keys:,} metadata keys and {n_tensors:,} tensors in {cursor.remaining_bytes:,} bytes "
            f"(at most {_MAX_KEYS:,} and {_MAX_TENSORS:,} are read)"
        )
    return version, n_tensors, n_keys


def _alignment(cursor: _Cursor, metadata: Mapping[str, object]) -> int:
    alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    is_number = isinstance(alignment, int) and not isinstance(alignment, bool)
    if not is_number or not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
        raise cursor.malformed(f"general.alignment is {quoted(alignment)}, which is not a power of two")
    return alignment


def _tensor_row(cursor: _Cursor) -> tuple[str, tuple[int, ...], int, int, int, int]:
    name = cursor.key()
    n_dimensions = cursor.u32()
    if n_dimensions > _MAX_DIMENSIONS:
        raise cursor.malformed(
            f"tensor {quoted(name)} has {n_dimensions:,} dimensions; at most 4 are allowed"
        )
    shape = tuple(cursor.u64() for _ in range(n_dimensions))
    n_elements = 1
    for size in shape:
        n_elements *= size
    if not 0 < n_elements < 2**63:
        raise cursor.malformed(f"tensor {quoted(name)} has the impossible shape {shape}")
    type_id = cursor.u32()
    ggml_type = GGML_TYPES.get(type_id)
    if ggml_type is None:
        removed = REMOVED_GGML_TYPES.get(type_id)
        why = (
            f"({removed}), which ggml has removed" if removed else "that ggml does not define (a fork's own?)"
        )
        raise cursor.malformed(f"tensor {quoted(name)} has type {type_id} {why}")
    row_elements = shape[0] if shape else 1
    if row_elements % ggml_type.block_elements:
        raise cursor.malformed(
            f"tensor {quoted(name)} has rows of {row_elements:,} elements, "
            f"not a multiple of the {ggml_type.block_elements} in a block of {ggml_type.name}"
        )
    n_bytes = n_elements // ggml_type.block_elements * ggml_type.block_bytes
    return name, shape, type_id, n_elements, n_bytes, cursor.u64()


def _check_layout(
    cursor: _Cursor, tensors: tuple[GgufTensor, ...], alignment: int, allow_missing_weights: bool
) -> None:
    """Tensors must be named once, lie aligned and apart, and end within the file."""
    names: set[str] = set()
    end = 0
    for tensor in sorted(tensors, key=lambda item: item.offset):
        if tensor.name in names:
            raise cursor.malformed(f"the tensor {quoted(tensor.name)} appears twice")
        names.add(tensor.name)
        if tensor.offset % alignment:
            raise cursor.malformed(f"tensor {quoted(tensor.name)} is not aligned to {alignment} bytes")
        if tensor.offset < end:
            raise cursor.malformed(f"tensor {quoted(tensor.name)} overlaps the tensor before it")
        end = tensor.offset + tensor.n_bytes
    file_bytes = cursor.position + cursor.remaining_bytes
    if end > file_bytes and not allow_missing_weights:
        raise cursor.malformed(
            f"it is truncated: its tensors end at byte {end:,}, the file has {file_bytes:,} "
            f"({end - file_bytes:,} bytes are missing); download it again"
        )
