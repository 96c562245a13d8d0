"""Fuzzes the safetensors reader, single files and indexes: raw bytes, then changed JSON. See the package."""

import json

from tests.fuzz.choices import Choices, change
from tests.fuzz.harness import instrumented, main

with instrumented():
    from planner.readers.byte_source import ByteSource
    from planner.readers.local_json import parse_json_object
    from planner.readers.safetensors import join_shards, parse_safetensors_header, shard_names

HEADER: dict[str, object] = {
    "__metadata__": {"format": "pt"},
    "b": {"dtype": "F8_E8M0", "shape": [5], "data_offsets": [24, 29]},
    "a": {"dtype": "F16", "shape": [3, 4], "data_offsets": [0, 24]},
    "c": {"dtype": "F4", "shape": [6], "data_offsets": [29, 32]},
    "s": {"dtype": "I64", "shape": [], "data_offsets": [32, 40]},
}
INDEX: dict[str, object] = {
    "metadata": {"total_size": 40},
    "weight_map": {"a": "1.safetensors", "b": "1.safetensors", "c": "1.safetensors", "s": "1.safetensors"},
}


def _file(header: object, data_bytes: int = 40) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + bytes(data_bytes)


def _source(name: str, data: bytes, n_bytes: int) -> ByteSource:
    def read(offset: int, size: int) -> bytes:
        return data[offset : offset + size]

    return ByteSource(name=name, n_bytes=n_bytes, read=read)


def target(data: bytes) -> None:
    """Read what the bytes say; only the planner's own errors may come out."""
    choices = Choices(data)
    match choices.number() % 6:
        case 0:
            rest = choices.rest()
            parse_safetensors_header(_source("m.safetensors", rest, len(rest)))
        case 1:  # a file may be as large as it likes
            parse_safetensors_header(_source("m.safetensors", choices.rest(), 10**12))
        case 2:
            parse_safetensors_header(_source("m.safetensors", raw := _file(choices.rest(), 40), len(raw)))
        case 3:
            raw = _file(change(HEADER, choices))
            parse_safetensors_header(_source("m.safetensors", raw, len(raw)))
        case 4:
            _joined(json.dumps(change(INDEX, choices)).encode())
        case _:
            _joined(choices.rest())


def _joined(index: bytes) -> None:
    shard_of = shard_names(parse_json_object(index, "'index'"), "'index'")
    raw = _file(HEADER)
    shards = sorted(set(shard_of.values()))[:4]
    join_shards(shard_of, {shard: _source(shard, raw, len(raw)) for shard in shards})


def seeds() -> list[bytes]:
    """Sound files and indexes, and some changes of them."""
    header, index = json.dumps(HEADER).encode(), json.dumps(INDEX).encode()
    return [b"\0" + _file(HEADER), b"\1" + _file(HEADER), b"\2" + header, b"\5" + index,
            *(bytes([kind, n, n + 1, 5, n, 7, 1, 3]) for kind in (3, 4) for n in range(12))]  # fmt: skip


if __name__ == "__main__":
    main("safetensors", target, seeds())
