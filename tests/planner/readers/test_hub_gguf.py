"""Which GGUF of a repository is meant."""

import pytest

from planner.errors import NotFoundError
from planner.readers.hub.gguf_files import choose_gguf, gguf_files
from planner.readers.hub.repository import HubFile

FILES = tuple(
    HubFile(path=path, size_bytes=size)
    for path, size in (
        ("README.md", 10),
        ("m-Q4_K_M.gguf", 400),
        ("m-Q4_K_S.gguf", 300),
        ("m-IQ2_K.gguf", 100),
        ("m-Q2_K.gguf", 200),
        ("mmproj-m-f16.gguf", 50),
        ("BF16/m-BF16-00002-of-00002.gguf", 700),
        ("BF16/m-BF16-00001-of-00002.gguf", 900),
    )
)


def test_parts_are_one_model_and_projectors_are_marked() -> None:
    models = {model.name: model for model in gguf_files(FILES)}
    assert len(models) == 6
    assert models["BF16/m-BF16-00001-of-00002.gguf"].size_bytes == 1600
    assert [model.name for model in models.values() if model.is_projector] == ["mmproj-m-f16.gguf"]
    assert gguf_files([HubFile(path="a.gguf", size_bytes=None)])[0].size_bytes is None


@pytest.mark.parametrize(
    ("quant", "name"),
    [
        ("Q4_K_M", "m-Q4_K_M.gguf"),
        ("q4_k_s", "m-Q4_K_S.gguf"),
        ("Q2_K", "m-Q2_K.gguf"),  # and not IQ2_K, which contains it
        ("bf16", "BF16/m-BF16-00001-of-00002.gguf"),
    ],
)
def test_a_quantization_is_found_as_a_word(quant: str, name: str) -> None:
    assert choose_gguf("org/name", FILES, quant=quant).name == name


def test_a_file_is_found_by_path_or_name_and_any_part() -> None:
    assert choose_gguf("org/name", FILES, filename="mmproj-m-f16.gguf").is_projector
    for filename in ("m-BF16-00002-of-00002.gguf", "BF16/m-BF16-00002-of-00002.gguf"):
        assert len(choose_gguf("org/name", FILES, filename=filename).parts) == 2


def test_the_only_model_needs_no_name() -> None:
    assert choose_gguf("org/name", FILES[1:2] + FILES[5:6]).name == "m-Q4_K_M.gguf"


def test_what_is_ambiguous_or_absent_is_listed() -> None:
    with pytest.raises(NotFoundError, match="5 files match GGUF; name one of 'BF16/m-BF16"):
        choose_gguf("org/name", FILES)
    with pytest.raises(NotFoundError, match=r"no file matches 'Q4_K'; name one of .*'m-Q4_K_M.gguf'"):
        choose_gguf("org/name", FILES, quant="Q4_K")
    with pytest.raises(NotFoundError, match=r"no file matches 'x.gguf'"):
        choose_gguf("org/name", FILES, filename="x.gguf")
    with pytest.raises(NotFoundError, match="'org/name' holds no GGUF file"):
        choose_gguf("org/name", FILES[:1])
