"""A file of one's own is written whole or not at all."""

import json
from pathlib import Path
from typing import Any

import pytest

from profiles import loader, schema
from profiles.errors import ProfileError
from profiles.user_models import own_models, write_model


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(loader.USER_FOLDER_VARIABLE, str(tmp_path / "own"))
    return tmp_path / "own" / "models"


def my_model(**changes: object) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": "my-model", "name": "My Model", "hub_id": None, "aliases": ["mine"], "family": "Mine", "licence": None,
        "released": None, "context_tokens": 4096, "modalities": ["text"], "parameters": {"total": None},
        "config": {"model_type": "llama"}, "sources": [{"what": "config", "where": "my disk", "basis": "file"}],
    }  # fmt: skip
    return entry | changes


def test_what_is_written_is_found_at_once(folder: Path) -> None:
    with pytest.raises(ProfileError):  # and so the catalogue has been read before
        loader.model_entry("mine")
    file = write_model(my_model())
    assert loader.model_entry("mine") == my_model()
    assert loader.own_model_ids() == {"my-model"}
    assert [path.name for path in folder.iterdir()] == [file.name]


@pytest.mark.parametrize("wrong", [KeyboardInterrupt(), OSError(28, "No space left on device")])
@pytest.mark.parametrize("there", [False, True])
def test_stopped_between_writing_and_renaming_nothing_has_changed(
    folder: Path, wrong: BaseException, there: bool
) -> None:
    if there:
        write_model(my_model())

    def stopped(temporary: Path, file: Path) -> None:
        assert json.loads(temporary.read_text()) == my_model(name="New")  # whole by now, under another name
        assert temporary.suffix != ".json"
        raise wrong

    with pytest.raises(KeyboardInterrupt if isinstance(wrong, KeyboardInterrupt) else ProfileError) as caught:
        write_model(my_model(name="New"), replace=True, rename=stopped)
    if isinstance(wrong, OSError):
        assert "No space left" in str(caught.value) and loader.USER_FOLDER_VARIABLE in str(caught.value)
    assert [path.name for path in folder.iterdir()] == (["my-model.json"] if there else [])
    assert [model.entry for model in own_models()] == ([my_model()] if there else [])


def test_a_folder_that_cannot_be_written_is_one_line(folder: Path) -> None:
    folder.parent.write_text("a file where the folder should be")
    with pytest.raises(ProfileError, match=loader.USER_FOLDER_VARIABLE) as caught:
        write_model(my_model())
    assert "\n" not in str(caught.value)


def test_one_that_is_there_stays_unless_told(folder: Path) -> None:
    write_model(my_model())
    with pytest.raises(ProfileError, match="--force"):
        write_model(my_model(name="New"))
    assert loader.model_entry("my-model")["name"] == "My Model"
    write_model(my_model(name="New"), replace=True)
    assert loader.model_entry("my-model")["name"] == "New"


def test_a_model_is_replaced_in_the_file_that_holds_it(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "by-hand.json").write_text(json.dumps(my_model()))
    write_model(my_model(name="New"), replace=True)
    assert [path.name for path in folder.iterdir()] == ["by-hand.json"]


def test_a_model_that_stands_in_two_files_is_refused_by_both_names(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in ("a.json", "b.json"):
        (folder / name).write_text(json.dumps(my_model()))
    with pytest.raises(ProfileError, match=r"b\.json: the id 'my-model' stands in .*a\.json too"):
        loader.model_rows()


def test_an_entry_that_breaks_the_schema_or_is_huge_is_not_written(folder: Path) -> None:
    with pytest.raises(ProfileError, match="context_tokens"):
        write_model(my_model(context_tokens=-1))
    huge = my_model(config={"model_type": "llama", "x": "y" * loader.MAX_FILE_BYTES})
    with pytest.raises(ProfileError, match="at most"):
        write_model(huge)
    assert not folder.exists()


def test_text_that_no_encoding_has_is_kept(folder: Path) -> None:
    # JSON may hold half of a surrogate pair, which UTF-8 cannot.
    entry = my_model(config={"model_type": "llama", "odd": "\ud800"})
    write_model(entry)
    assert loader.model_entry("mine")["config"]["odd"] == "\ud800"


def test_ones_own_names_are_stronger_than_packaged_ones(folder: Path) -> None:
    write_model(my_model(aliases=["Qwen/Qwen3-8B"]))
    assert loader.model_entry("Qwen/Qwen3-8B")["id"] == "my-model"
    assert loader.model_entry("qwen3-8b")["id"] == "qwen3-8b"  # an id is an id


def test_an_entry_of_ones_own_keeps_the_schema() -> None:
    schema.check_model(my_model(), "here")
