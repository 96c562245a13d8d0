"""Safetensors checkpoints: which tensors are stored, from their headers alone.

Follows https://github.com/huggingface/safetensors (safetensors/src/tensor.rs): eight bytes of length, a JSON
header, then the data without holes. Weights are never read.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hardware.units import MIB, format_bytes
from planner.errors import MalformedError, NotFoundError
from planner.quoting import quoted
from planner.readers.byte_source import ByteSource, local_source
from planner.readers.local_json import parse_json_object, read_json_object

SAFETENSORS_FILE = "model.safetensors"
SAFETENSORS_INDEX = "model.safetensors.index.json"
MAX_INDEX_BYTES = 40 * MIB  # 210,000 tensors of a 1T model in four bits take 30
LENGTH_BYTES = 8

_MAX_HEADER_BYTES = (
    32 * MIB
)  # of one file; the format allows 100 MB, which a third of would be 70,000 tensors
_MAX_DIMENSIONS = 64
_MAX_SHARDS = 2000
_MAX_HEADER_VALUES = 800_000  # eight for a tensor
_SHARD_NAME = re.compile(r".+-\d{5,6}-of-\d{5,6}\.safetensors", re.DOTALL)

_DTYPE_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
    "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTensorInfo:
    """One stored tensor: its name, element type, shape (outermost first) and bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    n_bytes: int

    @property
    def n_elements(self) -> int:
        """Elements stored; of packed 4-bit formats in U8 or I32 these are not single weights."""
        return math.prod(self.shape)


def read_safetensors(path: str | Path) -> tuple[StoredTensorInfo, ...]:
    """Tensors of a local checkpoint: a folder with model.safetensors or an index and shards, or one file."""
    place = Path(path)
    if not place.is_dir():
        return parse_safetensors_header(local_source(place))
    single, index = place / SAFETENSORS_FILE, place / SAFETENSORS_INDEX
    if single.exists():
        return parse_safetensors_header(local_source(single))
    if not index.exists():
        raise NotFoundError(f"{quoted(place)} holds neither {SAFETENSORS_FILE} nor {SAFETENSORS_INDEX}")
    shard_of = shard_names(read_json_object(index, MAX_INDEX_BYTES), quoted(index))
    shards = sorted(set(shard_of.values()))
    sources = {}
    for number, shard in enumerate(shards, start=1):
        if not (place / shard).exists():
            raise NotFoundError(
                f"shard {number} of {len(shards)}, {quoted(shard)}, is missing in {quoted(place)}; "
                "download the whole repository"
            )
        sources[shard] = local_source(place / shard)
    return join_shards(shard_of, sources)


def join_shards(
    shard_of: Mapping[str, str], sources: Mapping[str, ByteSource]
) -> tuple[StoredTensorInfo, ...]:
    """Tensors of all shards, each counted once: from the shard that the index names for it."""
    stored: dict[str, StoredTensorInfo] = {}
    for shard, source in sources.items():
        for tensor in parse_safetensors_header(source):
            if shard_of.get(tensor.name, shard) != shard:
                continue
            if tensor.name in stored:
                raise MalformedError(
                    f"{quoted(source.name)} repeats the tensor {quoted(tensor.name)} of another shard"
                )
            stored[tensor.name] = tensor
    missing = shard_of.keys() - stored.keys()
    if missing:
        name = min(missing)
        raise MalformedError(
            f"the index places {quoted(name)} in {quoted(shard_of[name])}, which does not hold it "
            f"({len(missing):,} such tensors); download the checkpoint again"
        )
    return tuple(stored.values())


def shard_names(index: Mapping[str, Any], name: str) -> Mapping[str, str]:
    """Which shard holds which tensor, from a parsed index; shard names are checked to be plain file names."""
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise MalformedError(f"{name} has no weight_map that says which shard holds which tensor")
    for shard in weight_map.values():
        # A separator would let an index point at any file of this machine.
        is_plain = isinstance(shard, str) and shard.endswith(".safetensors") and not set(shard) & set("/\\\0")
        if not is_plain:
            raise MalformedError(
                f"{name} names the shard {quoted(shard)}; a plain .safetensors name is expected"
            )
    n_shards = len(set(weight_map.values()))
    if n_shards > _MAX_SHARDS:
        raise MalformedError(f"{name} names {n_shards:,} shards; at most {_MAX_SHARDS:,} are read")
    return weight_map


def is_shard_name(name: str) -> bool:
    """Whether a file is named like one of several, model-00001-of-00004.safetensors."""
    return _SHARD_NAME.fullmatch(name) is not None


def parse_safetensors_header(source: ByteSource) -> tuple[StoredTensorInfo, ...]:
    """Tensors of one file, in the order of their data; raises MalformedError for what the format forbids."""
    name = quoted(source.name)
    front = source.read(0, min(source.n_bytes, LENGTH_BYTES))
    if len(front) < LENGTH_BYTES:
        raise MalformedError(f"{name} has {len(front)} bytes, fewer than a safetensors header")
    if front == b"version ":
        raise MalformedError(f"{name} is a Git LFS pointer, not the weights themselves; run git lfs pull")
    header_bytes = int.from_bytes(front, "little")
    if header_bytes > _MAX_HEADER_BYTES:
        raise MalformedError(
            f"{name} is not a usable safetensors file: it claims a header of {header_bytes:,} bytes; "
            f"at most {format_bytes(_MAX_HEADER_BYTES)} are read"
        )
    data_bytes = source.n_bytes - LENGTH_BYTES - header_bytes
    if data_bytes < 0:
        raise MalformedError(
            f"{name} ends inside its header, {-data_bytes:,} bytes are missing; download it again"
        )
    raw = source.read(LENGTH_BYTES, header_bytes)
    if len(raw) < header_bytes:
        raise MalformedError(
            f"{name}: reading stopped {header_bytes - len(raw):,} bytes before the header's end"
        )
    header = parse_json_object(raw, f"the header of {name}", max_values=_MAX_HEADER_VALUES)
    return _tensors(header, name, data_bytes)


def _tensors(header: Mapping[str, Any], name: str, data_bytes: int) -> tuple[StoredTensorInfo, ...]:
    rows = [
        _tensor(tensor_name, entry, name)
        for tensor_name, entry in header.items()
        if tensor_name != "__metadata__"
    ]
    rows.sort(key=lambda row: (row[0], row[1]))
    expected = 0
    for begin, end, tensor in rows:
        if begin != expected:
            raise MalformedError(
                f"{name}: the data of tensor {quoted(tensor.name)} begins at {begin:,} instead of {expected:,}"
            )
        expected = end
    if expected > data_bytes:
        raise MalformedError(
            f"{name} is truncated: its tensors take {expected:,} bytes, it holds {data_bytes:,} "
            f"({expected - data_bytes:,} are missing); download it again"
        )
    if expected < data_bytes:
        raise MalformedError(f"{name} holds {data_bytes - expected:,} bytes after its last tensor")
    return tuple(tensor for _, _, tensor in rows)


def _tensor(tensor_name: str, entry: object, name: str) -> tuple[int, int, StoredTensorInfo]:
    where = f"{name}: tensor {quoted(tensor_name)}"
    if not isinstance(entry, dict):
        raise MalformedError(f"{where} is described by {quoted(entry)}; an object is expected")
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    bits = _DTYPE_BITS.get(dtype) if isinstance(dtype, str) else None
    if bits is None or not isinstance(dtype, str):
        raise MalformedError(f"{where} has the unknown dtype {quoted(dtype)}")
    sizes, begin_end = _counts(shape), _counts(offsets)
    if sizes is None or len(sizes) > _MAX_DIMENSIONS or math.prod(sizes) >= 2**63:
        raise MalformedError(f"{where} has the impossible shape {quoted(shape)}")
    if begin_end is None or len(begin_end) != 2 or begin_end[0] > begin_end[1]:
        raise MalformedError(f"{where} has the impossible data_offsets {quoted(offsets)}")
    begin, end = begin_end
    if math.prod(sizes) * bits != (end - begin) * 8:
        raise MalformedError(
            f"{where} has {end - begin:,} bytes; {dtype} of shape {quoted(list(sizes))} takes "
            f"{math.prod(sizes) * bits / 8:,.0f}"
        )
    return begin, end, StoredTensorInfo(name=tensor_name, dtype=dtype, shape=sizes, n_bytes=end - begin)


def _counts(value: object) -> tuple[int, ...] | None:
    """`value` as a tuple of whole numbers below 2**63, or None."""
    if not isinstance(value, list) or len(value) > _MAX_DIMENSIONS:
        return None
    is_counts = all(type(item) is int and 0 <= item < 2**63 for item in value)
    return tuple(value) if is_counts else None
