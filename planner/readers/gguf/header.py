"""The bytes of one GGUF file's header: metadata values, long arrays left unread, and the tensor table.

Follows the format description in ggml's docs/gguf.md and the checks of ggml/src/gguf.cpp. Only the header is
fetched, in pieces (see gguf_cursor), so the same code reads a local file and a file on a server. Everything is
bounded, and no count in a header is trusted before the file is known to be large enough for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from planner.model.ggml_types import GGML_TYPES, REMOVED_GGML_TYPES
from planner.quoting import quoted
from planner.readers.byte_source import ByteSource
from planner.readers.gguf.cursor import FRONT_BYTES, HeaderCursor

_MAX_KEYS = 65_536
MAX_TENSORS = 65_536
MAX_DIMENSIONS = 4
_LEAST_KEY_BYTES = 8 + 1 + 4 + 1
_LEAST_TENSOR_BYTES = 8 + 1 + 4 + 4 + 8
_DEFAULT_ALIGNMENT = 32

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
    cursor = HeaderCursor(source, 0)
    version, n_tensors, n_keys = _counts(cursor)
    metadata: dict[str, object] = {}
    for keys_left in range(n_keys - 1, -1, -1):
        cursor.owed_bytes = keys_left * _LEAST_KEY_BYTES + n_tensors * _LEAST_TENSOR_BYTES
        key = cursor.name()
        if key in metadata:
            raise cursor.malformed(f"the metadata key {quoted(key)} appears twice")
        metadata[key] = cursor.value(cursor.u32())
    alignment = _alignment(cursor, metadata)
    rows = []
    for tensors_left in range(n_tensors - 1, -1, -1):
        cursor.owed_bytes = tensors_left * _LEAST_TENSOR_BYTES
        rows.append(_tensor_row(cursor))
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


def _counts(cursor: HeaderCursor) -> tuple[int, int, int]:
    """Version, number of tensors and number of metadata keys, from the fixed part at the front."""
    if cursor.remaining_bytes < FRONT_BYTES:
        raise cursor.malformed(
            f"it has {cursor.remaining_bytes} bytes, fewer than the {FRONT_BYTES} every GGUF starts with"
        )
    cursor.fetch(FRONT_BYTES)
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
    needed = n_tensors * _LEAST_TENSOR_BYTES + n_keys * _LEAST_KEY_BYTES
    if n_tensors > MAX_TENSORS or n_keys > _MAX_KEYS or needed > cursor.remaining_bytes:
        raise cursor.malformed(
            f"it claims {n_keys:,} metadata keys and {n_tensors:,} tensors in {cursor.remaining_bytes:,} bytes "
            f"(at most {_MAX_KEYS:,} and {MAX_TENSORS:,} are read)"
        )
    return version, n_tensors, n_keys


def _alignment(cursor: HeaderCursor, metadata: Mapping[str, object]) -> int:
    alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    is_number = isinstance(alignment, int) and not isinstance(alignment, bool)
    if not is_number or not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
        raise cursor.malformed(f"general.alignment is {quoted(alignment)}, which is not a power of two")
    return alignment


def _tensor_row(cursor: HeaderCursor) -> tuple[str, tuple[int, ...], int, int, int, int]:
    name = cursor.name()
    n_dimensions = cursor.u32()
    if n_dimensions > MAX_DIMENSIONS:
        raise cursor.malformed(
            f"tensor {quoted(name)} has {n_dimensions:,} dimensions; at most 4 are allowed"
        )
    shape = cursor.u64s(n_dimensions) or (1,)  # a single number, which ggml too takes for a row of one
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
    row_elements = shape[0]
    if row_elements % ggml_type.block_elements:
        raise cursor.malformed(
            f"tensor {quoted(name)} has rows of {row_elements:,} elements, "
            f"not a multiple of the {ggml_type.block_elements} in a block of {ggml_type.name}"
        )
    n_bytes = n_elements // ggml_type.block_elements * ggml_type.block_bytes
    return name, shape, type_id, n_elements, n_bytes, cursor.u64()


def _check_layout(
    cursor: HeaderCursor, tensors: tuple[GgufTensor, ...], alignment: int, allow_missing_weights: bool
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
