"""Reading GGUF headers: a real file, every kind of value, split models, and not reading the weights."""

import hashlib
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import MalformedError, NotFoundError
from planner.readers.byte_source import ByteSource
from planner.readers.gguf.file import (
    GgufArray,
    file_type_name,
    parse_gguf_header,
    parse_gguf_parts,
    read_gguf,
    split_part_names,
)
from tests.gguf_writer import Tensor, Value, gguf_header, write_gguf

F32, Q4_K = 0, 12
TWO_TENSORS: list[Tensor] = [
    ("token_embd.weight", (256, 10), Q4_K, 1440),  # 2,560 weights in ten blocks of 144 bytes
    ("output_norm.weight", (256,), F32, 1024),
]


def test_a_real_file_has_the_tensors_and_values_that_llama_cpp_prints(smollm2_path: Path) -> None:
    file = read_gguf(smollm2_path)

    assert file.version == 3
    assert file.metadata["general.architecture"] == "llama"
    assert file.metadata["llama.block_count"] == 30
    assert file.metadata["llama.embedding_length"] == 576
    assert file.metadata["llama.attention.head_count_kv"] == 3
    assert file.metadata["general.languages"] == ("en",)
    assert file.metadata["tokenizer.ggml.add_bos_token"] is False
    # Nine tensors in each of 30 layers, the embedding (also the head) and the last norm.
    assert len(file.tensors) == 30 * 9 + 2
    # Parameters of the network, computed by hand from its published shape: vocabulary 49,152, width 576,
    # 9 query and 3 KV heads of 64, feed-forward 1,536.
    layer = 576 * 576 * 2 + 576 * 192 * 2 + 3 * 576 * 1536 + 2 * 576
    assert file.n_elements == 49152 * 576 + 30 * layer + 576
    # Header, padding and tensors are the whole file, to the byte.
    padded_header = math.ceil(file.header_bytes / 32) * 32
    assert padded_header + file.tensor_bytes == file.file_bytes == smollm2_path.stat().st_size
    assert file.fingerprint == hashlib.sha256(smollm2_path.read_bytes()[: file.header_bytes]).hexdigest()
    tokens = file.metadata["tokenizer.ggml.tokens"]
    assert isinstance(tokens, GgufArray)
    assert len(tokens) == 49152
    assert tokens.values(2) == ("<|endoftext|>", "<|im_start|>")


def test_every_kind_of_value_is_read(tmp_path: Path) -> None:
    metadata: dict[str, Value] = {
        "a.u8": ("uint8", 255),
        "a.i8": ("int8", -128),
        "a.u16": ("uint16", 65535),
        "a.i16": ("int16", -32768),
        "a.u32": ("uint32", 2**32 - 1),
        "a.i32": ("int32", -(2**31)),
        "a.u64": ("uint64", 2**64 - 1),
        "a.i64": ("int64", -(2**63)),
        "a.f32": ("float32", 0.5),
        "a.f64": ("float64", 0.1),
        "a.yes": ("bool", True),
        "a.text": ("string", "naïve ☃"),
        "a.not_text": ("string", b"\xff"),
        "a.none": ("array", ("uint32", [])),
        "a.layers": ("array", ("int32", [8, 8, -1])),
        "a.flags": ("array", ("bool", [True, False])),
        "a.names": ("array", ("string", ["q", "k"])),
        "a.nested": ("array", ("array", [("uint8", [1, 2]), ("string", ["x"])])),
    }
    file = read_gguf(write_gguf(tmp_path / "m.gguf", metadata))

    assert dict(file.metadata) == {
        "a.u8": 255,
        "a.i8": -128,
        "a.u16": 65535,
        "a.i16": -32768,
        "a.u32": 2**32 - 1,
        "a.i32": -(2**31),
        "a.u64": 2**64 - 1,
        "a.i64": -(2**63),
        "a.f32": 0.5,
        "a.f64": 0.1,
        "a.yes": True,
        "a.text": "naïve ☃",
        "a.not_text": "\ufffd",  # tokens of some vocabularies are not UTF-8
        "a.none": (),
        "a.layers": (8, 8, -1),
        "a.flags": (True, False),
        "a.names": ("q", "k"),
        "a.nested": ((1, 2), ("x",)),
    }


def test_long_arrays_stay_in_the_file_until_asked_for(tmp_path: Path) -> None:
    tokens = [f"token {number}" for number in range(5000)]
    scores = [float(number) for number in range(4097)]
    metadata: dict[str, Value] = {
        "t.tokens": ("array", ("string", tokens)),
        "t.scores": ("array", ("float32", scores)),
        "t.short": ("array", ("float32", scores[:4096])),  # the longest array that is given as a tuple
        "t.after": ("uint32", 7),
    }
    file = read_gguf(write_gguf(tmp_path / "m.gguf", metadata))

    stored_tokens, stored_scores = file.metadata["t.tokens"], file.metadata["t.scores"]
    assert isinstance(stored_tokens, GgufArray)
    assert isinstance(stored_scores, GgufArray)
    assert (stored_tokens.element_type, len(stored_tokens)) == ("string", 5000)
    assert (stored_scores.element_type, len(stored_scores)) == ("float32", 4097)
    assert stored_scores.n_bytes == 4097 * 4
    assert stored_tokens.values(3) == ("token 0", "token 1", "token 2")
    assert stored_tokens.values() == tuple(tokens)
    assert stored_scores.values(10**9) == tuple(scores)
    assert stored_tokens.values(0) == ()
    assert file.metadata["t.short"] == tuple(scores[:4096])
    assert file.metadata["t.after"] == 7


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("alignment", [32, 64, 4096])
def test_tensors_have_shape_type_size_and_place(tmp_path: Path, version: int, alignment: int) -> None:
    metadata: dict[str, Value] = {"general.alignment": ("uint32", alignment)}
    path = write_gguf(tmp_path / "m.gguf", metadata, TWO_TENSORS, version=version, alignment=alignment)
    file = read_gguf(path)

    header = len(gguf_header(metadata, TWO_TENSORS))
    start = math.ceil(header / alignment) * alignment
    embedding, norm = file.tensors
    assert (file.version, file.alignment, file.n_parts, file.header_bytes) == (version, alignment, 1, header)
    assert (embedding.name, embedding.shape, embedding.type_name) == ("token_embd.weight", (256, 10), "Q4_K")
    assert (embedding.n_elements, embedding.n_bytes, embedding.offset) == (2560, 1440, start)
    assert (norm.n_elements, norm.n_bytes) == (256, 1024)
    assert norm.offset == start + math.ceil(1440 / alignment) * alignment
    assert file.tensor_bytes == 1440 + 1024


def test_a_tensor_without_dimensions_is_a_row_of_one() -> None:
    header = gguf_header({}, [("scale", (), F32, 4)])
    (tensor,) = parse_gguf_header(CountingReader(header).read, len(header) + 64, "m").tensors
    assert (tensor.shape, tensor.n_elements, tensor.n_bytes) == ((1,), 1, 4)


class CountingReader:
    """Serves a file's front, and fails when anything far behind the header is asked for."""

    def __init__(self, front: bytes) -> None:
        self.front = front
        self.fetched_bytes = 0
        self.n_requests = 0

    def read(self, offset: int, size: int) -> bytes:
        self.n_requests += 1
        self.fetched_bytes += size
        piece = self.front[offset : offset + size]
        return piece + bytes(size - len(piece))


def _vocabulary(n_tokens: int, n_merges: int) -> dict[str, Value]:
    """Metadata like a real vocabulary's: short tokens first, as byte-pair encoding makes them."""
    tokens = [f"{number:x}"[-1 - number * 8 // n_tokens :] for number in range(n_tokens)]
    return {
        "general.architecture": ("string", "deepseek2"),
        "tokenizer.chat_template": ("string", "{{ message }} " * 300),
        "tokenizer.ggml.tokens": ("array", ("string", tokens)),
        "tokenizer.ggml.token_type": ("array", ("int32", [1] * n_tokens)),
        "tokenizer.ggml.merges": ("array", ("string", [f"{n:x} {n % 97:x}" for n in range(n_merges)])),
    }


def _many_tensors(n: int) -> list[Tensor]:
    return [(f"blk.{number}.attn_norm.weight", (32,), F32, 128) for number in range(n)]


@pytest.mark.parametrize(
    ("metadata", "tensors", "most_requests"),
    [
        ({"split.no": ("uint16", 0)}, _many_tensors(750), 9),  # 50 kB, of a part without a vocabulary
        (_vocabulary(30_000, 30_000), _many_tensors(300), 13),  # 1 MB
        (_vocabulary(163_840, 163_328), _many_tensors(1096), 13),  # 6 MB, the shape of Kimi-K2
        (_vocabulary(500_000, 600_000), _many_tensors(1096), 13),  # 20 MB
    ],
    ids=["50 kB", "1 MB", "6 MB", "20 MB"],
)
def test_of_a_remote_file_a_tenth_more_than_the_header_is_fetched_in_few_requests(
    metadata: dict[str, Value], tensors: list[Tensor], most_requests: int
) -> None:
    header = gguf_header(metadata, tensors)
    reader = CountingReader(header)
    # The file claims 100 GB of which nothing but the header can be had.
    file = parse_gguf_header(reader.read, 10**11, "org/name/m.gguf")

    assert file.header_bytes == len(header)
    assert len(file.tensors) == len(tensors)
    assert reader.fetched_bytes <= 1.1 * len(header)
    assert reader.n_requests <= most_requests


NAMES = st.lists(st.text("abc.", min_size=1, max_size=40), max_size=30, unique=True)
VALUES = st.one_of(
    st.text(max_size=2000).map(lambda text: ("string", text)),
    st.integers(0, 255).map(lambda number: ("uint8", number)),
    st.lists(st.text(max_size=30), max_size=200).map(lambda texts: ("array", ("string", texts))),
    st.lists(st.integers(0, 9), max_size=200).map(lambda numbers: ("array", ("int32", numbers))),
)


@settings(max_examples=100, deadline=None)
@given(keys=NAMES, values=st.lists(VALUES, min_size=30, max_size=30), names=NAMES)
def test_no_header_whatever_makes_more_than_a_tenth_fetched_in_vain(
    keys: list[str], values: list[Value], names: list[str]
) -> None:
    """The rest of a header that is certain is a lower bound, so this holds for every file, not for usual ones."""
    header = gguf_header(dict(zip(keys, values, strict=False)), [(name, (32,), F32, 128) for name in names])
    reader = CountingReader(header)
    file = parse_gguf_header(reader.read, 10**11, "m.gguf")
    assert file.header_bytes == len(header)
    assert reader.fetched_bytes <= 1.1 * len(header)


def test_a_text_longer_than_any_template_stays_in_the_file(tmp_path: Path) -> None:
    text = "é" * 600_000  # 1.2 MB, such as a whole tokenizer.json
    metadata: dict[str, Value] = {"tokenizer.huggingface.json": ("string", text), "after": ("uint32", 7)}
    file = read_gguf(write_gguf(tmp_path / "m.gguf", metadata))
    stored = file.metadata["tokenizer.huggingface.json"]
    assert isinstance(stored, GgufArray)
    assert (stored.element_type, len(stored), stored.n_bytes) == ("string", 1, 8 + 1_200_000)
    assert stored.values() == (text,)
    assert file.metadata["after"] == 7


def test_the_fingerprint_is_of_the_header_alone(tmp_path: Path) -> None:
    one = write_gguf(tmp_path / "one.gguf", {"a.b": ("uint32", 1)}, TWO_TENSORS)
    same = tmp_path / "elsewhere.gguf"
    same.write_bytes(one.read_bytes()[:-4] + b"abcd")  # other weights
    other = write_gguf(tmp_path / "other.gguf", {"a.b": ("uint32", 2)}, TWO_TENSORS)

    assert read_gguf(one).fingerprint == read_gguf(same).fingerprint
    assert read_gguf(one).fingerprint != read_gguf(other).fingerprint


def _split_metadata(promised: int = 2) -> list[dict[str, Value]]:
    parts: list[dict[str, Value]] = []
    for number in range(2):
        metadata: dict[str, Value] = {
            "split.no": ("uint16", number),
            "split.count": ("uint16", 2),
            "split.tensors.count": ("int32", promised),
        }
        if number == 0:
            metadata["general.architecture"] = ("string", "llama")
        parts.append(metadata)
    return parts


def _write_split(folder: Path, *, promised: int = 2) -> list[Path]:
    return [
        write_gguf(folder / f"m-{number:05d}-of-00002.gguf", metadata, [tensor])
        for number, (metadata, tensor) in enumerate(
            zip(_split_metadata(promised), TWO_TENSORS, strict=True), 1
        )
    ]


@pytest.mark.parametrize("given", [0, 1])
def test_any_part_of_a_split_model_leads_to_all(tmp_path: Path, given: int) -> None:
    paths = _write_split(tmp_path)
    headers = [
        gguf_header(metadata, [tensor])
        for metadata, tensor in zip(_split_metadata(), TWO_TENSORS, strict=True)
    ]
    file = read_gguf(paths[given])

    assert file.path == str(paths[0])
    assert file.n_parts == 2
    assert [(tensor.name, tensor.part) for tensor in file.tensors] == [
        ("token_embd.weight", 1),
        ("output_norm.weight", 2),
    ]
    assert file.metadata["general.architecture"] == "llama"
    assert file.file_bytes == sum(path.stat().st_size for path in paths)
    assert file.header_bytes == sum(len(header) for header in headers)
    assert file.fingerprint == hashlib.sha256(headers[0]).hexdigest()


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    paths = _write_split(tmp_path)
    paths[1].unlink()
    with pytest.raises(NotFoundError, match=r"part 2 of 2, 'm-00002-of-00002.gguf', is not next to"):
        read_gguf(paths[0])


def test_a_renamed_part_is_explained(tmp_path: Path) -> None:
    renamed = _write_split(tmp_path)[0].rename(tmp_path / "model.gguf")
    with pytest.raises(MalformedError, match=r"split in 2, but is not named like one \(NAME-00001-of-00002"):
        read_gguf(renamed)


def test_parts_of_other_models_are_not_joined(tmp_path: Path) -> None:
    paths = _write_split(tmp_path)
    paths[1].write_bytes(paths[0].read_bytes())
    with pytest.raises(MalformedError, match="says it is part 1 of 2, but was read as part 2 of 2"):
        read_gguf(paths[0])


def test_parts_must_hold_as_many_tensors_as_promised(tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match="promises 3 tensors over 2 parts; the parts hold 2"):
        read_gguf(_write_split(tmp_path, promised=3)[0])


def test_one_part_alone_is_not_taken_for_the_model(tmp_path: Path) -> None:
    data = _write_split(tmp_path)[0].read_bytes()
    source = ByteSource(name="m", n_bytes=len(data), read=lambda offset, size: data[offset : offset + size])
    with pytest.raises(MalformedError, match="part 1 of 2, but was read as part 1 of 1"):
        parse_gguf_parts([source])


def test_names_of_parts() -> None:
    names = ("a-00001-of-00003.gguf", "a-00002-of-00003.gguf", "a-00003-of-00003.gguf")
    assert split_part_names("a-00002-of-00003.gguf") == names
    assert split_part_names("a.gguf") is None
    assert split_part_names("a-00004-of-00003.gguf") is None
    assert split_part_names("a-00000-of-00003.gguf") is None
    assert split_part_names("a-00001-of-99999.gguf") is None  # more parts than any model has


def test_names_of_file_types() -> None:
    # From enum llama_ftype; 1,024 is the flag for "guessed".
    assert file_type_name(15) == "Q4_K_M"
    assert file_type_name(0) == "F32"
    assert file_type_name(38) == "MXFP4_MOE"
    assert file_type_name(1024 + 7) == "Q8_0"
    assert file_type_name(999) == "file type 999"
