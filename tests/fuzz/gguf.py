"""Fuzzes the GGUF reader: raw bytes, then a sound header with changed metadata and tensors. See the package."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.conformance.headers import PUBLISHED
from tests.fuzz.choices import Choices, odd_value
from tests.fuzz.harness import instrumented, main
from tests.gguf_writer import gguf_header

with instrumented():
    from planner.readers.gguf.file import GgufArray, GgufFile, GgufTensor, parse_gguf_header
    from planner.readers.gguf.network import network_from_gguf, storage_from_gguf
    from planner.readers.gguf.projector import is_projector, read_projector, with_projector
    from planner.readers.source_facts import facts_of_gguf
    from tests.planner.readers.test_gguf_architectures import RECORDED, tensor_table
    from tests.planner.readers.test_mmproj import CLIP, VISION

from tests.fuzz.touch import touch

_RAW = 64  # of 256 first bytes, so many lead to the raw reader
_HEADERS = tuple(
    gguf_header(small.metadata(), small.tensors())
    for small in (replace(model, n_layers=4) for model in PUBLISHED.values())
)
# One header of every architecture that the engine has.
_RECORDED = {name.partition(",")[0]: recorded for name, recorded in RECORDED.items()}


def _parse(data: bytes, file_bytes: int) -> GgufFile:
    def read(offset: int, size: int) -> bytes:
        return data[offset : offset + size]

    return parse_gguf_header(read, file_bytes, "m.gguf", allow_missing_weights=True)


def _recorded_header(metadata: Mapping[str, Any], header: Mapping[str, Any]) -> bytes:
    values = {
        key: (value[0], tuple(value[1:]) if value[0] == "array" else value[1])
        for key, value in metadata.items()
    }
    return gguf_header(values, tensor_table(dict(header)))


_FILES = tuple(
    _parse(header, len(header))
    for header in (
        *_HEADERS,
        *(_recorded_header(*recorded) for recorded in _RECORDED.values()),
        gguf_header(CLIP, VISION),
    )
)
_PLAIN = network_from_gguf(_FILES[0])


def target(data: bytes) -> None:
    """Read what the bytes say; only the planner's own errors may come out."""
    choices = Choices(data)
    if choices.number() < _RAW:
        # A file may be as large as it likes: a hole of a terabyte costs nothing and backs any claim.
        file_bytes = choices.pick((0, 10**6, 10**12))
        rest = choices.rest()
        file = _parse(rest, max(file_bytes, len(rest)))
        for value in file.metadata.values():
            if isinstance(value, GgufArray):
                value.values(10)
    else:
        file = _changed(choices)
    facts_of_gguf(file.metadata)
    if is_projector(file):
        touch(with_projector(_PLAIN, read_projector(file)))
        return
    network = network_from_gguf(file)
    storage_from_gguf(file, network)
    touch(network)


def _changed(choices: Choices) -> GgufFile:
    file = choices.pick(_FILES)
    metadata, tensors = dict(file.metadata), list(file.tensors)
    names = list(metadata)
    for _ in range(choices.number() % 6):
        key = choices.pick(names)
        match choices.number() % 4:
            case 0:
                metadata.pop(key, None)
            case 1:
                metadata[key] = metadata.get(choices.pick(names))
            case _:
                metadata[key] = _gguf_value(odd_value(choices))
    for _ in range(choices.number() % 6):
        if tensors:
            index = choices.number(2) % len(tensors)
            tensors[index : index + 1] = _changed_tensor(tensors[index], tensors, choices)
    return replace(file, metadata=metadata, tensors=tuple(tensors))


def _gguf_value(value: object) -> object:
    """A value as the header reader gives it: whole numbers below 2**64, tuples, no sections."""
    if isinstance(value, list):
        return tuple(_gguf_value(item) for item in value[:4096])
    if isinstance(value, int) and not isinstance(value, bool):
        return max(-(2**63), min(value, 2**64 - 1))
    return 0 if value is None or isinstance(value, dict) else value


def _changed_tensor(tensor: GgufTensor, others: list[GgufTensor], choices: Choices) -> list[GgufTensor]:
    match choices.number() % 6:
        case 0:
            return []
        case 1:
            return [
                replace(tensor, name=choices.pick(("x", "blk.0.x", "blk.99999.attn_q.weight", "blk.1.ssm_x")))
            ]
        case 2:
            return [replace(tensor, name=others[choices.number(2) % len(others)].name)]
        case 3:
            return [_with_shape(tensor, tuple(reversed(tensor.shape)))]
        case 4:
            return [_with_shape(tensor, (*tensor.shape, 1)[:4])]
        case _:
            size = max(1, choices.number(choices.pick((1, 2, 4))))
            return [_with_shape(tensor, (size, *tensor.shape[1:]))]


def _with_shape(tensor: GgufTensor, shape: tuple[int, ...]) -> GgufTensor:
    n_elements = 1
    for size in shape:
        n_elements *= size
    return replace(tensor, shape=shape, n_elements=n_elements, n_bytes=n_elements)


def seeds() -> list[bytes]:
    """Short headers of every kind, and a few changes of each network."""
    raw = [bytes([0, which]) + header[:6000] for which in (0, 2) for header in _HEADERS]
    odd = gguf_header(
        {
            "general.architecture": ("string", "llama"),
            "general.alignment": ("uint32", 32),
            "l": ("array", ("int32", [1, 2, 3])),
            "t": ("array", ("string", ["a", "bc"])),
            "n": ("array", ("array", [("uint8", [1])])),
            "x": ("float64", 1.0),
            "y": ("bool", True),
        },
        [("token_embd.weight", (256, 10), 12, 1440), ("output_norm.weight", (256,), 0, 1024)],
    )
    return [
        *raw,
        bytes([0, 2]) + odd,
        *(bytes([_RAW, which, 2, 3, 5, 200, 8]) for which in range(len(_FILES))),
    ]


if __name__ == "__main__":
    main("gguf", target, seeds())
