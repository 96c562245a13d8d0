"""Safetensors headers: sound ones, shards, and what the format forbids."""

import json
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import MalformedError, NotFoundError
from planner.readers.byte_source import ByteSource
from planner.readers.safetensors import parse_safetensors_header, read_safetensors

Header = dict[str, object]

# F16 of 3×4 takes 24 bytes, F8 scales of 5 take 5, six 4-bit numbers take 3.
SOUND: Header = {
    "__metadata__": {"format": "pt"},
    "b": {"dtype": "F8_E8M0", "shape": [5], "data_offsets": [24, 29]},
    "a": {"dtype": "F16", "shape": [3, 4], "data_offsets": [0, 24]},
    "c": {"dtype": "F4", "shape": [6], "data_offsets": [29, 32]},
}


def _file(header: Header | bytes, data_bytes: int) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + bytes(data_bytes)


def _source(data: bytes, n_bytes: int | None = None) -> ByteSource:
    size = len(data) if n_bytes is None else n_bytes
    return ByteSource(name="m.safetensors", n_bytes=size, read=lambda at, size: data[at : at + size])


def test_tensors_come_in_the_order_of_their_data() -> None:
    tensors = parse_safetensors_header(_source(_file(SOUND, 32)))
    assert [(item.name, item.dtype, item.shape, item.n_bytes) for item in tensors] == [
        ("a", "F16", (3, 4), 24),
        ("b", "F8_E8M0", (5,), 5),
        ("c", "F4", (6,), 3),
    ]
    assert tensors[0].n_elements == 12


def test_a_scalar_has_one_element() -> None:
    scalar: Header = {"s": {"dtype": "I64", "shape": [], "data_offsets": [0, 8]}}
    (tensor,) = parse_safetensors_header(_source(_file(scalar, 8)))
    assert (tensor.n_elements, tensor.n_bytes) == (1, 8)


def test_a_header_longer_than_the_first_read_is_fetched_whole_and_no_weights() -> None:
    header: Header = {
        f"model.layers.{number}.weight": {
            "dtype": "F32",
            "shape": [1],
            "data_offsets": [number * 4, number * 4 + 4],
        }
        for number in range(3000)
    }
    data = _file(header, 0)
    asked: list[tuple[int, int]] = []

    def read(offset: int, size: int) -> bytes:
        asked.append((offset, size))
        return data[offset : offset + size]

    source = ByteSource(name="m", n_bytes=len(data) + 12_000, read=read)
    assert len(parse_safetensors_header(source)) == 3000
    assert len(asked) == 2
    assert max(offset + size for offset, size in asked) == len(data)


def _changed(**fields: object) -> Header:
    row: Header = {"dtype": "F16", "shape": [3, 4], "data_offsets": [0, 24]}
    return {"a\n": {**row, **fields}}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "has 0 bytes, fewer than a safetensors header"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS pointer"),
        (struct.pack("<Q", 2**60) + bytes(10), "claims a header of 1,152,921,504,606,846,976 bytes"),
        (struct.pack("<Q", 100_000_001) + bytes(10), "at most 32.0 MiB are read"),
        (struct.pack("<Q", 100) + b"{}", "ends inside its header, 98 bytes are missing"),
        (_file(b"[]", 0), "the header of 'm.safetensors' holds a JSON list"),
        (_file({"a": 5}, 0), "is described by '5'"),
        (_file(_changed(dtype="F99"), 24), r"tensor 'a\n' has the unknown dtype 'F99'"),
        (_file(_changed(dtype=["F16"]), 24), "has the unknown dtype"),
        (_file(_changed(shape=[3, -4]), 24), "impossible shape '[3, -4]'"),
        (_file(_changed(shape=[True, 12]), 24), "impossible shape"),
        (_file(_changed(shape=[3.0, 4]), 24), "impossible shape"),
        (_file(_changed(shape=[2**40, 2**40]), 24), "impossible shape"),
        (_file(_changed(shape=None), 24), "impossible shape 'None'"),
        (_file(_changed(data_offsets=[24, 0]), 24), "impossible data_offsets"),
        (_file(_changed(data_offsets=[0]), 24), "impossible data_offsets"),
        (_file(_changed(data_offsets=[0, 20]), 24), "has 20 bytes; F16 of shape '[3, 4]' takes 24"),
        (_file(_changed(data_offsets=[8, 32]), 32), "begins at 8 instead of 0"),
        (_file(SOUND, 30), "its tensors take 32 bytes, it holds 30 (2 are missing)"),
        (_file(SOUND, 40), "holds 8 bytes after its last tensor"),
    ],
)  # fmt: skip
def test_a_broken_file_is_refused_in_one_line(data: bytes, words: str) -> None:
    with pytest.raises(MalformedError) as caught:
        parse_safetensors_header(_source(data))
    assert words in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_header_full_of_nothing_is_refused() -> None:
    # 12 MB of empty lists would become about 300 MB of objects.
    with pytest.raises(MalformedError, match="JSON values; at most"):
        parse_safetensors_header(_source(_file(b'{"a":[' + b"[]," * 4_000_000 + b"0]}", 0)))


@settings(max_examples=300, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 300), st.binary(min_size=1, max_size=4)), max_size=4))
def test_any_change_of_bytes_is_read_or_refused(changes: list[tuple[int, bytes]]) -> None:
    data = bytearray(_file(SOUND, 32))
    for place, new in changes:
        data[place : place + len(new)] = new
    try:
        parse_safetensors_header(_source(bytes(data)))
    except MalformedError as error:
        assert str(error).isprintable()


def _write_shards(folder: Path, weight_map: dict[str, object]) -> None:
    for number, name in enumerate("ab", start=1):
        row: Header = {name: {"dtype": "U8", "shape": [number], "data_offsets": [0, number]}}
        (folder / f"model-0000{number}-of-00002.safetensors").write_bytes(_file(row, number))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


SHARDS: dict[str, object] = {
    "a": "model-00001-of-00002.safetensors",
    "b": "model-00002-of-00002.safetensors",
}


def test_shards_are_joined(tmp_path: Path) -> None:
    _write_shards(tmp_path, SHARDS)
    assert [(item.name, item.n_bytes) for item in read_safetensors(tmp_path)] == [("a", 1), ("b", 2)]


def test_a_tensor_in_two_shards_counts_where_the_index_says(tmp_path: Path) -> None:
    _write_shards(tmp_path, SHARDS)
    both: Header = {
        "a": {"dtype": "U8", "shape": [7], "data_offsets": [0, 7]},
        "b": {"dtype": "U8", "shape": [2], "data_offsets": [7, 9]},
    }
    (tmp_path / "model-00002-of-00002.safetensors").write_bytes(_file(both, 9))
    assert [(item.name, item.n_bytes) for item in read_safetensors(tmp_path)] == [("a", 1), ("b", 2)]


def test_one_file_needs_no_index(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(_file(SOUND, 32))
    assert len(read_safetensors(tmp_path)) == 3
    assert len(read_safetensors(tmp_path / "model.safetensors")) == 3


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    _write_shards(tmp_path, SHARDS)
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(NotFoundError, match=r"shard 2 of 2, 'model-00002-of-00002.safetensors', is missing"):
        read_safetensors(tmp_path)
    with pytest.raises(NotFoundError, match=r"holds neither model.safetensors nor"):
        read_safetensors(tmp_path.parent)


def test_a_shard_without_its_tensor_is_refused(tmp_path: Path) -> None:
    _write_shards(tmp_path, {**SHARDS, "z": SHARDS["a"]})
    with pytest.raises(
        MalformedError, match=r"places 'z' in 'model-00001-of-00002.safetensors', which does not"
    ):
        read_safetensors(tmp_path)


@pytest.mark.parametrize(
    "shard", ["../../etc/passwd.safetensors", "/etc/passwd", "a.bin", 5, "x\0.safetensors"]
)
def test_an_index_cannot_point_out_of_its_folder(tmp_path: Path, shard: object) -> None:
    _write_shards(tmp_path, {"a": shard})
    with pytest.raises(MalformedError, match=r"a plain .safetensors name is expected"):
        read_safetensors(tmp_path)


@pytest.mark.parametrize("index", ["{}", '{"weight_map": []}', '{"weight_map": {}}'])
def test_an_index_must_map_something(tmp_path: Path, index: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(index)
    with pytest.raises(MalformedError, match="has no weight_map"):
        read_safetensors(tmp_path)
