"""JSON from files that nobody vouches for."""

import math
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import MalformedError, NotFoundError, ReadError
from planner.readers.local_json import parse_json_object, read_json_object


def _write(folder: Path, data: bytes) -> Path:
    path = folder / "config.json"
    path.write_bytes(data)
    return path


def test_an_object_is_read(tmp_path: Path) -> None:
    # NaN stands in real configurations, a byte-order mark in files from Windows; the last of two keys counts.
    data = b'\xef\xbb\xbf{"a": 1, "a": 2, "b": NaN, "c": {"d": ["\xc3\xa9"]}}'
    value = read_json_object(_write(tmp_path, data))
    assert value["a"] == 2
    assert math.isnan(value["b"])
    assert value["c"] == {"d": ["é"]}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is not valid JSON: Expecting value at line 1, column 1"),
        (b'{"a": 1', "is not valid JSON"),
        (b'{"a": 1}\n}', "Extra data at line 2, column 1"),
        (b"[1, 2]", "holds a JSON list; an object {…} is expected"),
        (b"null", "holds a JSON NoneType"),
        (b'{"a": "\xff"}', "is not UTF-8 text: byte 7 is invalid"),
        (b'{"a": ' + b"1" * 5000 + b"}", "absurdly long number"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
        (b'{"a": ' + b"[" * 70 + b"]" * 70 + b"}", "nested too deeply; at most 64 levels"),
        (
            '{"a": "é"}'.encode() + b" " * 10_485_760,
            "has 10.0 MiB; at most 10.0 MiB are read of a text that is not",
        ),
        (
            b'{"a": "\\u00e9"}' + b" " * 10_485_760,
            "at most 10.0 MiB are read of a text that is not plain ASCII",
        ),
        (b'{"a": [' + b"[]," * 2_500_000 + b"0]}", "JSON values; at most 500,000 are read"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_a_sane_object_is_refused_in_one_line(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(MalformedError) as caught:
        read_json_object(_write(tmp_path, data))
    assert words in str(caught.value)
    assert str(caught.value).isprintable()


def test_depth_of_real_configurations_is_accepted() -> None:
    data = b'{"a": ' + b"[" * 60 + b"]" * 60 + b"}"
    assert "a" in parse_json_object(data, "x")


def test_a_config_of_100_mb_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    with path.open("wb") as file:
        file.truncate(100_000_000)
    tracemalloc.start()
    with pytest.raises(MalformedError, match=r"has 95.4 MiB; at most 16.0 MiB are read for such a file"):
        read_json_object(path)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_the_limit_is_the_callers(tmp_path: Path) -> None:
    path = _write(tmp_path, b'{"a": 1}')
    assert read_json_object(path, 8) == {"a": 1}
    with pytest.raises(MalformedError, match="has 8 B; at most 7 B"):
        read_json_object(path, 7)


def test_files_that_lie_about_their_size_are_bounded_too() -> None:
    # The kernel says that its files have 0 bytes; this one has some hundred.
    if not Path("/proc/self/status").exists():
        pytest.skip("needs a Linux /proc")
    with pytest.raises(MalformedError, match="at most 10 B"):
        read_json_object(Path("/proc/self/status"), 10)


def test_a_symbolic_link_to_itself_and_a_missing_file(tmp_path: Path) -> None:
    loop = tmp_path / "config.json"
    loop.symlink_to("config.json")
    with pytest.raises(ReadError, match="Too many levels of symbolic links"):
        read_json_object(loop)
    with pytest.raises(NotFoundError, match=r"none.json' does not exist; check the path"):
        read_json_object(tmp_path / "none.json")


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=60) | st.text(alphabet='{}[]":,0.-eNa\\u', max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        assert isinstance(parse_json_object(data, "x"), dict)
    except MalformedError as error:
        assert str(error).isprintable()
