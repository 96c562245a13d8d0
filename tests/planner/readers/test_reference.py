"""What a model's name means."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import MalformedError, NotFoundError, PlannerError
from planner.readers.reference import (
    CatalogueName,
    HubModel,
    LocalConfig,
    LocalFolder,
    LocalGguf,
    OllamaReference,
    Reference,
    UrlConfig,
    UrlGguf,
    parse_reference,
)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("qwen3-8b", CatalogueName(name="qwen3-8b")),
        ("llama3.1:8b", CatalogueName(name="llama3.1:8b")),
        ("  qwen3-8b ", CatalogueName(name="qwen3-8b")),
        ("ollama:llama3.1:8b", OllamaReference(name="llama3.1:8b")),
        ("ollama:hf.co/org/name:Q4_K_M", OllamaReference(name="hf.co/org/name:Q4_K_M")),
        ("org/name", HubModel(repo_id="org/name")),
        ("org/name@main", HubModel(repo_id="org/name", revision="main")),
        ("org/name@refs/pr/1", HubModel(repo_id="org/name", revision="refs/pr/1")),
        ("org/name:m.gguf", HubModel(repo_id="org/name", filename="m.gguf")),
        ("org/name:sub/m.gguf", HubModel(repo_id="org/name", filename="sub/m.gguf")),
        ("org/name:Q4_K_M", HubModel(repo_id="org/name", quant="Q4_K_M")),
        ("org/name@v1:m.gguf", HubModel(repo_id="org/name", revision="v1", filename="m.gguf")),
        ("org/name/m.gguf", HubModel(repo_id="org/name", filename="m.gguf")),
        ("org/name/sub/m.gguf", HubModel(repo_id="org/name", filename="sub/m.gguf")),
        ("org/name@v1/m.gguf", HubModel(repo_id="org/name", revision="v1", filename="m.gguf")),
        ("hf://org/name", HubModel(repo_id="org/name")),
        ("hf://org/name@v1/m.gguf", HubModel(repo_id="org/name", revision="v1", filename="m.gguf")),
        ("https://huggingface.co/org/name", HubModel(repo_id="org/name")),
        ("https://huggingface.co/org/name/", HubModel(repo_id="org/name")),
        ("https://hf.co/org/name?library=x#top", HubModel(repo_id="org/name")),
        ("https://huggingface.co/org/name/tree/main", HubModel(repo_id="org/name", revision="main")),
        (
            "https://huggingface.co/org/name/blob/main/a%20b/m.gguf?download=true",
            HubModel(repo_id="org/name", revision="main", filename="a b/m.gguf"),
        ),
        (
            "https://huggingface.co/org/name/resolve/v1/m.gguf",
            HubModel(repo_id="org/name", revision="v1", filename="m.gguf"),
        ),
        ("https://example.com/a/M.GGUF?x=1", UrlGguf(url="https://example.com/a/M.GGUF?x=1")),
        ("http://nas:8000/m-00001-of-00002.gguf", UrlGguf(url="http://nas:8000/m-00001-of-00002.gguf")),
        ("https://[::1]/m.gguf", UrlGguf(url="https://[::1]/m.gguf")),
        ("https://example.com/a/config.json", UrlConfig(url="https://example.com/a/config.json")),
        ("https://example.com/m.safetensors", UrlConfig(url="https://example.com/m.safetensors")),
        ("https://mirror.example/org/name/resolve/main/m.safetensors.index.json",
         UrlConfig(url="https://mirror.example/org/name/resolve/main/m.safetensors.index.json")),
    ],
)  # fmt: skip
def test_names_of_what_is_elsewhere(tmp_path: Path, text: str, meaning: Reference) -> None:
    assert parse_reference(text, cwd=tmp_path, home=tmp_path) == meaning


def test_what_exists_here_wins_over_a_hub_repository(tmp_path: Path) -> None:
    assert parse_reference("org/name", cwd=tmp_path) == HubModel(repo_id="org/name")
    (tmp_path / "org" / "name").mkdir(parents=True)
    assert parse_reference("org/name", cwd=tmp_path) == LocalFolder(path=tmp_path / "org" / "name")


def test_files_are_told_apart_by_their_names(tmp_path: Path) -> None:
    for name in ("m.gguf", "M.GGUF", "some.json", "model.safetensors"):
        (tmp_path / name).touch()
    assert parse_reference("m.gguf", cwd=tmp_path) == LocalGguf(path=tmp_path / "m.gguf")
    assert parse_reference("./M.GGUF", cwd=tmp_path) == LocalGguf(path=tmp_path / "M.GGUF")
    assert parse_reference("some.json", cwd=tmp_path) == LocalConfig(path=tmp_path / "some.json")
    assert parse_reference("model.safetensors", cwd=tmp_path) == LocalFolder(path=tmp_path)
    assert parse_reference("~/m.gguf", cwd=tmp_path / "no", home=tmp_path) == LocalGguf(
        path=tmp_path / "m.gguf"
    )
    assert parse_reference(str(tmp_path / "m.gguf")) == LocalGguf(path=tmp_path / "m.gguf")


def test_a_file_without_an_ending_is_told_by_its_first_bytes(tmp_path: Path) -> None:
    blob = tmp_path / "sha256-abc"  # as Ollama names it
    blob.write_bytes(b"GGUF\x03\0\0\0")
    assert parse_reference("sha256-abc", cwd=tmp_path) == LocalGguf(path=blob)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(MalformedError, match="is neither GGUF nor JSON nor safetensors"):
        parse_reference("notes.txt", cwd=tmp_path)


def test_a_folder_is_a_checkpoint_or_holds_one_gguf(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    for name in ("mmproj-f16.gguf", "m-00001-of-00002.gguf", "m-00002-of-00002.gguf"):
        (folder / name).touch()
    assert parse_reference("m", cwd=tmp_path) == LocalGguf(path=folder / "m-00001-of-00002.gguf")
    (folder / "other.gguf").touch()
    with pytest.raises(NotFoundError, match=r"holds 2 GGUF models; name one of them, for example 'm-00001"):
        parse_reference("m", cwd=tmp_path)
    (folder / "config.json").touch()
    assert parse_reference("m", cwd=tmp_path) == LocalFolder(path=folder)


def test_a_missing_file_is_answered_with_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "Qwen3-8B-Q4_K_M.gguf").touch()
    for text in ("models/Qwen3-8B-Q4_K_S.gguf", "./models/Qwen3-8B-Q4_K_M.ggu"):
        with pytest.raises(NotFoundError, match=r"does not exist; did you mean '.*Qwen3-8B-Q4_K_M.gguf'\?"):
            parse_reference(text, cwd=tmp_path)
    # Three parts look like a hub file, but the first folder is here.
    (tmp_path / "models" / "sub").mkdir()
    with pytest.raises(NotFoundError, match="does not exist"):
        parse_reference("models/sub/x.gguf", cwd=tmp_path)
    with pytest.raises(NotFoundError, match="nor does its folder"):
        parse_reference("/no/such/place/x", cwd=tmp_path)
    with pytest.raises(NotFoundError, match="does not exist; check the path"):
        parse_reference("zzz.gguf", cwd=tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "a\nb",
        "a\0b",
        "\x1b[31m",
        "x" * 5000,
        "two words",
        "org/na me",
        "a--b/c",
        "../..x/y/..",
        "org/name.git",
        "org/name@",
        "org/name@../../x",
        "org/name:",
        "org/name:../x.gguf",
        "hf://name",
        "hf://org/name/../../x.gguf",
        "https://example.com/org/name",
        "https://exa mple.com/m.gguf",
        "https://user:pw@/m.gguf",
        "https://example.com:0/m.gguf",
        "ftp://example.com/m.gguf",
        "https://huggingface.co",
        "https://huggingface.co/org/name/blob/main/..%2F..%2Fx.gguf",
        "file:///etc/passwd",
        "http://[::1/org/name",
        "--help",
    ],
)
def test_what_means_nothing_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        parse_reference(text, cwd=tmp_path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=40) | st.text(alphabet="ab./:@~\\-hf", max_size=20))
def test_any_text_means_something_or_is_refused(text: str) -> None:
    try:
        parse_reference(text, cwd=Path("/nonexistent"), home=Path("/nonexistent"))
    except PlannerError as error:
        assert str(error).isprintable()
