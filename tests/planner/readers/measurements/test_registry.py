"""Telling formats apart by what stands in the file, and refusing what is none."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import MalformedError, MissingFactError, NotFoundError
from planner.readers.measurements import text as text_module
from planner.readers.measurements.given import Given
from planner.readers.measurements.registry import FORMATS
from planner.readers.measurements.text import MeasurementText, read_text
from tests.planner.readers.measurements.sampled import SAMPLES, parsed, sample

EVERYTHING = Given(
    device="H100 SXM", backend="CUDA", model="Qwen/Qwen3-32B", engine="vllm", quantization="Q4_K_M", processor="EPYC 9355"
)  # fmt: skip
FILES = sorted(path for path in SAMPLES.iterdir() if path.name != "README.md")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_exactly_one_format_knows_each_sample(path: Path) -> None:
    file = read_text(path)
    assert len([known.name for known in FORMATS if known.recognises(file)]) == 1
    assert sample(path.name, EVERYTHING).rows


@pytest.mark.parametrize(
    "text", ["", "hello", "{}", "[]", "[1, 2]", '{"a": 1}', "| a | b |\n", "a,b\n1,2\n", "model_type avg_ts"]
)
def test_what_has_no_format_is_refused_with_what_is_read(text: str) -> None:
    with pytest.raises(MalformedError):
        parsed(text)


def test_a_refusal_names_the_formats() -> None:
    with pytest.raises(
        MalformedError, match=r"'pasted.txt' has none of the formats.*llama-bench JSON.*GuideLLM"
    ):
        parsed("a,b\n1,2\n")


def test_a_format_with_nothing_in_it_is_refused() -> None:
    head = "\n".join((SAMPLES / "llama_bench_2023.md").read_text(encoding="utf-8").splitlines()[:2])
    with pytest.raises(MalformedError, match="no results in it; it was read as llama-bench Markdown"):
        parsed(head)


def test_missing_huge_and_binary_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFoundError):
        read_text(tmp_path / "none.json")
    binary = tmp_path / "model.gguf"
    binary.write_bytes(b"GGUF\x03\x00\x00\x00")
    with pytest.raises(MalformedError, match="null characters"):
        read_text(binary)
    latin = tmp_path / "latin.md"
    latin.write_bytes("7 ± 1".encode("latin-1"))
    with pytest.raises(MalformedError, match="not UTF-8 at byte 2"):
        read_text(latin)
    monkeypatch.setattr(text_module, "MAX_BYTES", 10)
    large = tmp_path / "large.json"
    large.write_text("[" + " " * 20 + "]")
    with pytest.raises(MalformedError, match="at most"):
        read_text(large)


def test_what_a_windows_shell_redirects_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_bytes((SAMPLES / "llama_bench.json").read_text(encoding="utf-8").encode("utf-16"))
    assert json.loads(read_text(path).text)[0]["n_prompt"] == 512


def test_nested_and_endless_json_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MalformedError, match="nested too deeply"):
        parsed("[{" + '"a":[{' * 100_000)
    monkeypatch.setattr(text_module, "_MAX_VALUES", 10)
    with pytest.raises(MalformedError, match=r"about 13 JSON values; at most 10"):
        parsed(json.dumps([{"model_type": "x", "avg_ts": 1, "samples": list(range(10))}]))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_sample_cut_or_changed_anywhere_is_read_or_refused_in_one_line(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(FILES))
    whole = path.read_text(encoding="utf-8")
    position = data.draw(st.integers(0, len(whole)))
    inserted = data.draw(st.sampled_from(["", "NaN", "-1", '"', "]", "|", "\n", "1e999", "null", "\x1b[2J"]))
    file = MeasurementText(name="cut", text=whole[:position] + inserted + whole[position + len(inserted) :])
    for known in FORMATS:
        try:
            if known.recognises(file):
                known.read(file, EVERYTHING)
        except (MalformedError, MissingFactError) as error:
            assert "\n" not in str(error) and "\x1b" not in str(error)
