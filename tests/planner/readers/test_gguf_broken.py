"""Broken and hostile GGUF files: one line of MalformedError, quickly, and never another exception."""

import os
import struct
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import AccessError, MalformedError, NotFoundError, ReadError
from planner.readers.gguf.file import GgufArray, GgufFile, parse_gguf_header, read_gguf
from tests.gguf_writer import TYPE_IDS, Tensor, Value, gguf_header, gguf_string, write_gguf

F32, Q4_K = 0, 12
TENSORS: list[Tensor] = [
    ("token_embd.weight", (256, 10), Q4_K, 1440),
    ("output_norm.weight", (256,), F32, 1024),
]
METADATA: dict[str, Value] = {
    "general.architecture": ("string", "llama"),
    "general.alignment": ("uint32", 32),
    "llama.block_count": ("uint32", 1),
    "llama.rope.freq_base": ("float32", 10000.0),
    "llama.layers": ("array", ("int32", [1, 2, 3])),
    "general.tags": ("array", ("string", ["a", "bc"])),
    "nested": ("array", ("array", [("uint8", [1])])),
    "tokens": ("array", ("string", ["ab"] * 4097)),
}
HEADER = gguf_header(METADATA, TENSORS)


def _parse(data: bytes, file_bytes: int | None = None, *, allow_missing_weights: bool = False) -> GgufFile:
    def read(offset: int, size: int) -> bytes:
        return data[offset : offset + size]

    n_bytes = len(data) if file_bytes is None else file_bytes
    return parse_gguf_header(read, n_bytes, "m.gguf", allow_missing_weights=allow_missing_weights)


def _assert_refused(data: bytes, words: str, file_bytes: int | None = None) -> None:
    with pytest.raises(MalformedError) as caught:
        _parse(data, file_bytes)
    message = str(caught.value)
    assert words in message
    assert message.isprintable(), "one line, without control characters"
    assert len(message) < 400


def _start(n_tensors: int = 0, n_keys: int = 1, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, n_tensors, n_keys)


def _key(name: str, kind: int) -> bytes:
    return gguf_string(name) + struct.pack("<I", kind)


STRING, ARRAY, UINT8, UINT32 = (TYPE_IDS[name] for name in ("string", "array", "uint8", "uint32"))
HUGE = 2**60


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "has 0 bytes"),
        (b"GGUF\x03\0\0\0", "has 8 bytes"),
        (b"\0" * 64, "starts with b'\\x00\\x00\\x00\\x00' instead of b'GGUF'"),
        (b"tjgg" + bytes(64), "pre-GGUF ggml file of 2023"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab", "Git LFS pointer"),
        (b"<!DOCTYPE html><html><head></head></html>", "a web page"),
        (_start(version=1), "GGUF version 1"),
        (_start(version=4), "GGUF version 4; versions 2 and 3 are read"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (_start(n_keys=HUGE), "claims 1,152,921,504,606,846,976 metadata keys"),
        (_start(n_tensors=2**64 - 1), "tensors in 0 bytes"),
        (_start(n_keys=3) + bytes(20), "claims 3 metadata keys"),
        (_start() + struct.pack("<Q", HUGE) + bytes(32), "claims 1,152,921,504,606,846,976 bytes"),
        (_start() + gguf_string(b"k" * 70_000) + bytes(64), "65,536 are allowed"),
        (_start() + gguf_string("") + bytes(64), "is empty"),
        (_start() + gguf_string(b"\xff\xfe") + bytes(64), "is not UTF-8"),
        (_start() + _key("a", STRING) + struct.pack("<Q", HUGE) + bytes(8), "a string at byte"),
        (_start() + _key("a", 13) + bytes(8), "unknown type 13"),
        (_start() + _key("a", ARRAY) + struct.pack("<IQ", 99, 1) + bytes(8), "unknown element type 99"),
        (_start() + _key("a", ARRAY) + struct.pack("<IQ", UINT32, HUGE), "elements, which need"),
        (_start() + _key("a", ARRAY) + struct.pack("<IQ", STRING, HUGE), "elements, which need"),
        (
            _start() + _key("a", ARRAY) + struct.pack("<IQ", ARRAY, 1) * 5 + struct.pack("<IQ", UINT8, 0),
            "nested more than 4 deep",
        ),
        (_start(n_keys=2) + (_key("a.b", UINT32) + bytes(4)) * 2, "'a.b' appears twice"),
        (_start() + _key("general.alignment", UINT32) + struct.pack("<I", 48), "'48', which is not a power"),
        (_start() + _key("general.alignment", UINT32) + struct.pack("<I", 0), "'0', which is not a power"),
        (_start() + _key("general.alignment", STRING) + gguf_string("32\n"), "is '32\\n', which is not a power"),
    ],
)  # fmt: skip
def test_a_broken_front_is_refused_by_name(data: bytes, words: str) -> None:
    _assert_refused(data, words)


def _tensor(name: str | bytes, shape: tuple[int, ...], type_id: int, offset: int) -> bytes:
    return gguf_string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, type_id, offset)


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ([_tensor("a", (1, 1, 1, 1, 1), 0, 0)], "has 5 dimensions"),
        ([gguf_string("a") + struct.pack("<I", 2**32 - 1) + bytes(64)], "4,294,967,295 dimensions"),
        ([_tensor("a", (2**32, 2**31), 0, 0)], "impossible shape (4294967296, 2147483648)"),  # 2**63
        ([_tensor("a", (4, 0), 0, 0)], "impossible shape (4, 0)"),
        ([_tensor("a", (4,), 43, 0)], "type 43 that ggml does not define"),
        ([_tensor("a", (32,), 31, 0)], "type 31 (Q4_0_4_4), which ggml has removed"),
        ([_tensor("a", (100,), 12, 0)], "rows of 100 elements, not a multiple of the 256 in a block of Q4_K"),
        ([_tensor("a", (4,), 0, 0), _tensor("a", (4,), 0, 32)], "'a' appears twice"),
        ([_tensor("a", (4,), 0, 8)], "'a' is not aligned to 32 bytes"),
        ([_tensor("a", (64,), 0, 0), _tensor("b", (64,), 0, 32)], "'b' overlaps"),
        ([_tensor("a", (4,), 0, 2**63)], "it is truncated"),
        ([_tensor(b"\x1b[31mred\n", (4,), 999, 0)], r"'\x1b[31mred\n' has type 999"),
    ],
)  # fmt: skip
def test_a_broken_tensor_table_is_refused_by_name(tensors: list[bytes], words: str) -> None:
    _assert_refused(_start(len(tensors), 0) + b"".join(tensors) + bytes(512), words)


def test_a_truncated_file_says_how_many_bytes_are_missing(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", METADATA, TENSORS)
    whole = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(whole - 1000)
    with pytest.raises(MalformedError, match=r"\(1,000 bytes are missing\); download it again"):
        read_gguf(path)
    # A header alone, as from a ranged download, is accepted on request.
    path.write_bytes(HEADER)
    assert len(read_gguf(path, allow_missing_weights=True).tensors) == 2


@pytest.mark.parametrize("kept", [24, 25, 40, len(HEADER) // 2, len(HEADER) - 1])
def test_a_header_cut_short_is_refused_even_when_weights_may_be_missing(kept: int) -> None:
    with pytest.raises(MalformedError):
        _parse(HEADER[:kept], allow_missing_weights=True)


@settings(max_examples=300, deadline=None)
@given(kept=st.integers(0, len(HEADER) + 31 + 1440 + 1024))
def test_wherever_a_file_is_cut_it_is_refused(kept: int) -> None:
    data_start = -(-len(HEADER) // 32) * 32
    whole = HEADER.ljust(data_start + 1440 + 1024, b"\0")  # 1,440 is a multiple of 32: no padding between
    if kept < len(whole):
        _assert_refused(whole[:kept], "m.gguf")
    else:
        assert len(_parse(whole).tensors) == 2


@settings(max_examples=600, deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, 700), st.binary(min_size=1, max_size=9)), min_size=1, max_size=4
    ),
    from_end=st.booleans(),
    cut=st.integers(0, 200),
)
def test_any_change_of_bytes_is_read_or_refused_and_nothing_else(
    changes: list[tuple[int, bytes]], from_end: bool, cut: int
) -> None:
    data = bytearray(HEADER)
    for place, new in changes:
        # The middle is one long vocabulary; the interesting bytes are before and after it.
        index = max(0, len(data) - place - len(new)) if from_end else place
        data[index : index + len(new)] = new
    broken = bytes(data[: len(data) - cut])
    try:
        file = _parse(broken, allow_missing_weights=True)
    except MalformedError as error:
        assert str(error).isprintable()
    else:
        for value in file.metadata.values():
            if isinstance(value, GgufArray):
                value.values(10)


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=300))
def test_any_bytes_after_a_sound_front_are_read_or_refused(data: bytes) -> None:
    for front in (_start(n_keys=2), _start(n_tensors=1, n_keys=1), _start(n_tensors=2, n_keys=0)):
        try:
            _parse(front + data, allow_missing_weights=True)
        except MalformedError as error:
            assert str(error).isprintable()


def test_absurd_sizes_cost_neither_memory_nor_time(tmp_path: Path) -> None:
    """A file that is a hole of 1 TB can back any count; what is claimed must still not be allocated."""
    claims = [
        _start() + _key("a", STRING) + struct.pack("<Q", HUGE),
        _start() + _key("a", STRING) + struct.pack("<Q", 2**39),
        _start() + _key("a", ARRAY) + struct.pack("<IQ", UINT8, 2**39),
        _start() + _key("a", ARRAY) + struct.pack("<IQ", ARRAY, 2**30),
        _start(n_tensors=2**30),
        _start(n_keys=2**30),
    ]
    path = tmp_path / "m.gguf"
    tracemalloc.start()
    started = time.monotonic()
    for claim in claims:
        path.write_bytes(claim)
        with path.open("r+b") as file:
            file.truncate(2**40)
        with pytest.raises(MalformedError):
            read_gguf(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20
    assert time.monotonic() - started < 10


def test_many_small_arrays_do_not_become_gigabytes() -> None:
    """4,096 bytes in an array of uint8 take 32 KiB as a tuple; after the first ones they stay in the file."""
    array = struct.pack("<IQ", UINT8, 4096) + bytes(4096)
    keys = [_key(f"k{number}", ARRAY) + array for number in range(200)]
    file = _parse(_start(n_keys=200) + b"".join(keys))
    kinds = [type(value) for value in file.metadata.values()]
    assert kinds.count(tuple) == 64  # 262,144 elements over all
    assert kinds.count(GgufArray) == 136


def test_a_source_that_stops_early_is_refused() -> None:
    with pytest.raises(MalformedError, match="reading stopped at byte 100 of 1,000,000"):
        parse_gguf_header(lambda offset, size: HEADER[:100][offset : offset + size], 10**6, "m.gguf")


@pytest.mark.timeout(20)
def test_what_is_not_a_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    (tmp_path / "loop.gguf").symlink_to("loop.gguf")
    with pytest.raises(MalformedError, match="is a folder; name a file"):
        read_gguf(tmp_path)
    with pytest.raises(MalformedError, match="is not a regular file"):
        read_gguf(tmp_path / "pipe.gguf")  # opening it plainly would wait for a writer, for ever
    with pytest.raises(MalformedError, match="is not a regular file"):
        read_gguf("/dev/zero")
    with pytest.raises(NotFoundError, match="does not exist"):
        read_gguf(tmp_path / "none.gguf")
    with pytest.raises(NotFoundError, match="does not exist"):
        read_gguf("a\0b.gguf")
    with pytest.raises(ReadError, match="could not be read: Too many levels of symbolic links"):
        read_gguf(tmp_path / "loop.gguf")
    locked = write_gguf(tmp_path / "locked.gguf", {})
    locked.chmod(0)
    if not os.access(locked, os.R_OK):  # the superuser may read everything
        with pytest.raises(AccessError, match="may not be read by this user"):
            read_gguf(locked)
