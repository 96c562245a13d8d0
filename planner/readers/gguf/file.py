"""GGUF files: what llama.cpp and Ollama load. Reads the header only, of one file or of all parts of a split.

`read_gguf` is for local files; `parse_gguf_header` and `parse_gguf_parts` take anything that can be read in
ranges. What the metadata means for a network is not decided here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from planner.errors import MalformedError, NotFoundError
from planner.quoting import quoted
from planner.readers.byte_source import ByteSource, ReadRange, local_source
from planner.readers.gguf.cursor import GgufArray
from planner.readers.gguf.header import MAX_TENSORS, GgufHeader, GgufTensor, parse_header

__all__ = [
    "GgufArray",
    "GgufFile",
    "GgufTensor",
    "file_type_name",
    "parse_gguf_header",
    "parse_gguf_parts",
    "read_gguf",
    "split_part_names",
]

_MAX_PARTS = 1000  # real models have up to about a hundred
_PART_NAME = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf", re.DOTALL)

# enum llama_ftype (llama.h): what most tensors of a file are quantized to.
_FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K",
    19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL",
    26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0",
    37: "TQ2_0", 38: "MXFP4_MOE", 39: "NVFP4", 40: "Q1_0", 41: "Q2_0",
}  # fmt: skip
_GUESSED_FILE_TYPE = 1024  # a flag that llama.cpp adds when the file did not say


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufFile:
    """The header of a GGUF model: its metadata and its tensors, over all parts of a split model.

    `metadata` is that of the first part: numbers, bools, text, tuples (arrays up to 4,096) and GgufArray.
    `header_bytes` and `file_bytes` are sums over the parts. `fingerprint` is the SHA-256 of the first part's
    header: the same model file has the same one wherever it lies.
    """

    path: str
    version: int
    metadata: Mapping[str, object]
    tensors: tuple[GgufTensor, ...]
    header_bytes: int
    file_bytes: int
    alignment: int
    n_parts: int
    fingerprint: str

    @property
    def tensor_bytes(self) -> int:
        """Bytes of all tensors, without header and padding."""
        return sum(tensor.n_bytes for tensor in self.tensors)

    @property
    def n_elements(self) -> int:
        """Numbers stored in all tensors."""
        return sum(tensor.n_elements for tensor in self.tensors)


def read_gguf(path: str | Path, *, allow_missing_weights: bool = False) -> GgufFile:
    """Read the header of a local GGUF file; of a split model, any part leads to all of them.

    With `allow_missing_weights` a file that ends after its header is accepted.
    """
    given = Path(path)
    source = local_source(given)
    names = split_part_names(given.name)
    number = 1 if names is None else names.index(given.name) + 1
    header = parse_header(source, part=number, allow_missing_weights=allow_missing_weights)
    n_parts = _split_number(source, header, "split.count", default=1)
    if n_parts <= 1:
        return _join([source], [header])
    if names is None or len(names) != n_parts:
        raise MalformedError(
            f"{quoted(given)} is a part of a model split in {n_parts:,}, but is not named like one "
            f"(NAME-00001-of-{n_parts:05d}.gguf); give the parts their original names"
        )
    for other, name in enumerate(names, start=1):
        if not (given.parent / name).exists():
            raise NotFoundError(
                f"part {other} of {n_parts}, {quoted(name)}, is not next to {quoted(given)}; "
                "put all parts in one folder"
            )
    sources = [local_source(given.parent / name) for name in names]
    return _join(sources, _headers(sources, allow_missing_weights, {number: header}))


def parse_gguf_header(
    read: ReadRange, file_bytes: int, path: str, *, allow_missing_weights: bool = False
) -> GgufFile:
    """Read the header of one unsplit GGUF through `read(offset, size)`; weights are never fetched."""
    source = ByteSource(name=path, n_bytes=file_bytes, read=read)
    return parse_gguf_parts([source], allow_missing_weights=allow_missing_weights)


def parse_gguf_parts(sources: Sequence[ByteSource], *, allow_missing_weights: bool = False) -> GgufFile:
    """Read the headers of all parts of a GGUF, in order, and join their tensors."""
    return _join(sources, _headers(sources, allow_missing_weights, {}))


def _headers(
    sources: Sequence[ByteSource], allow_missing_weights: bool, known: Mapping[int, GgufHeader]
) -> list[GgufHeader]:
    """The headers of all parts, of which some may have been read already."""
    headers = []
    n_tensors = 0
    for number, source in enumerate(sources, start=1):
        header = known.get(number) or parse_header(
            source, part=number, allow_missing_weights=allow_missing_weights
        )
        n_tensors += len(header.tensors)
        if n_tensors > MAX_TENSORS:
            raise MalformedError(
                f"{quoted(source.name)}: the parts up to this one hold {n_tensors:,} tensors; "
                f"at most {MAX_TENSORS:,} are read"
            )
        headers.append(header)
    return headers


def split_part_names(name: str) -> tuple[str, ...] | None:
    """File names of all parts, given the name of any of them; None for a name that is not of a part."""
    match = _PART_NAME.fullmatch(name)
    if match is None:
        return None
    stem, number, count = match[1], int(match[2]), int(match[3])
    if not 1 <= number <= count <= _MAX_PARTS:
        return None
    return tuple(f"{stem}-{part:05d}-of-{count:05d}.gguf" for part in range(1, count + 1))


def file_type_name(file_type: int) -> str:
    """The usual name of a `general.file_type` number: 15 is "Q4_K_M"; unknown ones say their number."""
    base = file_type & ~_GUESSED_FILE_TYPE
    return _FILE_TYPES.get(base, f"file type {file_type}")


def _join(sources: Sequence[ByteSource], headers: Sequence[GgufHeader]) -> GgufFile:
    first, name = headers[0], sources[0].name
    n_parts = len(headers)
    for number, (source, header) in enumerate(zip(sources, headers, strict=True), start=1):
        count = _split_number(source, header, "split.count", default=1)
        index = _split_number(source, header, "split.no", default=0)
        if count <= 1 and n_parts == 1:
            break
        if count != n_parts or index != number - 1:
            raise MalformedError(
                f"{quoted(source.name)} says it is part {index + 1} of {count}, but was read as part {number} "
                f"of {n_parts}; all parts of one model are needed, in order"
            )
    tensors = tuple(tensor for header in headers for tensor in header.tensors)
    names = {tensor.name for tensor in tensors}
    if len(names) != len(tensors):
        raise MalformedError(f"{quoted(name)}: its {n_parts} parts hold the same tensor more than once")
    if n_parts > 1:
        promised = _split_number(sources[0], first, "split.tensors.count", default=len(tensors))
        if promised != len(tensors):
            raise MalformedError(
                f"{quoted(name)} promises {promised:,} tensors over {n_parts} parts; "
                f"the parts hold {len(tensors):,}; download them again"
            )
    return GgufFile(
        path=name,
        version=first.version,
        metadata=MappingProxyType(dict(first.metadata)),
        tensors=tensors,
        header_bytes=sum(header.header_bytes for header in headers),
        file_bytes=sum(source.n_bytes for source in sources),
        alignment=first.alignment,
        n_parts=n_parts,
        fingerprint=first.fingerprint,
    )


def _split_number(source: ByteSource, header: GgufHeader, key: str, *, default: int) -> int:
    value = header.metadata.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise MalformedError(f"{quoted(source.name)} has {key} = {quoted(value)}; a count is expected")
    return value
