import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from profiles import loader
from profiles.errors import ProfileError

RENT_HEADER = "id,accelerator_id,provider,kind,usd_per_gpu_hour_low,usd_per_gpu_hour_high,as_of,source,note\n"
CARD = {
    "id": "my-card", "name": "My Card", "vendor": "nvidia", "architecture": "Ada", "memory_mib": "48000",
    "memory_basis": "vendor", "memory_gb_per_s": "900", "unified_memory": "0", "status": "own", "source": "its label",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(loader.USER_FOLDER_VARIABLE, str(tmp_path))
    return tmp_path


def write_card(folder: Path, **changes: str | None) -> None:
    cells = {name: text for name, text in (CARD | changes).items() if text is not None}
    lines = [",".join(cells), ",".join(f'"{text}"' for text in cells.values())]
    (folder / "accelerators.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_without_a_folder_of_ones_own_the_packaged_rows_are_all_there_is(folder: Path) -> None:
    assert len(loader.accelerator_rows()) == 258


def test_the_folder_is_the_platforms_unless_the_environment_names_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(loader.USER_FOLDER_VARIABLE, str(tmp_path / "mine"))
    assert loader.user_folder() == tmp_path / "mine"
    monkeypatch.delenv(loader.USER_FOLDER_VARIABLE)
    assert loader.user_folder().parts[-2:] == ("planner", "profiles")


def test_a_row_of_ones_own_is_added_with_what_it_leaves_out_unknown(folder: Path) -> None:
    write_card(folder)
    rows = {row["id"]: row for row in loader.accelerator_rows()}
    assert len(rows) == 259
    assert rows["my-card"]["memory_mib"] == "48000"
    assert rows["my-card"]["fp8_tflop_per_s"] is None  # its file has no such column


def test_a_row_of_the_same_id_replaces_the_packaged_one_in_its_place(folder: Path) -> None:
    before = [row["id"] for row in loader.accelerator_rows()]
    write_card(folder, id="rtx-4090", name="My 4090")
    loader._table.cache_clear()  # rows are kept per folder, and this one has been read, empty
    after = loader.accelerator_rows()
    assert [row["id"] for row in after] == before
    assert next(row["name"] for row in after if row["id"] == "rtx-4090") == "My 4090"


def test_rows_are_read_once(folder: Path) -> None:
    assert loader.accelerator_rows() is loader.accelerator_rows()


def test_rows_cannot_be_changed() -> None:
    row = loader.accelerator_rows()[0]
    with pytest.raises(TypeError):
        row["name"] = "other"  # type: ignore[index]


@pytest.mark.parametrize(
    ("changes", "field", "found", "expected"),
    [
        ({"memory_mib": "48 GB"}, "memory_mib", "48 GB", "a whole number"),
        ({"memory_mib": "48"}, "memory_mib", "48", "from 1024"),  # gibibytes in the column of mebibytes
        ({"memory_gb_per_s": "-1"}, "memory_gb_per_s", "-1", "a number"),
        ({"memory_gb_per_s": "nan"}, "memory_gb_per_s", "nan", "a number"),
        ({"memory_gb_per_s": None}, "memory_gb_per_s", "nothing", "a number"),
        ({"memory_gb_per_s": "٩٠٠"}, "memory_gb_per_s", "٩٠٠", "a number"),  # digits that float() would take
        ({"source": ""}, "source", "nothing", "text"),
        ({"id": "My Card"}, "id", "My Card", "lower-case"),
        ({"unified_memory": "no"}, "unified_memory", "no", "0 or 1"),
        ({"memory_basis": "guess"}, "memory_basis", "guess", "vendor, derived, assumed"),
        ({"memory_basis": ""}, "memory_basis", "None", "exactly when"),
        ({"memory_mib": "", "memory_basis": ""}, "memory_mib", "nothing", "unified memory"),
        ({"pattern": "RTX ("}, "pattern", "RTX (", "a regular expression"),
        ({"aliases": "one;;two"}, "aliases", "one;;two", "none of them empty"),
        ({"name": "My\x1b[31m Card"}, "name", "x1b", "text"),  # a terminal escape
        ({"fp16_tflop_per_s": "989", "fp8_tflop_per_s": "3958"}, "fp8_tflop_per_s", "3958", "sparsity"),
        ({"fp16_tflops": "989"}, "fp16_tflops", "a column", "fp16_tflop_per_s"),
    ],
)
def test_a_malformed_row_of_ones_own_says_file_row_field_found_and_expected(
    folder: Path, changes: dict[str, str | None], field: str, found: str, expected: str
) -> None:
    write_card(folder, **changes)
    with pytest.raises(ProfileError) as caught:
        loader.accelerator_rows()
    message = str(caught.value)
    assert "accelerators.csv" in message
    assert f"field {field!r}" in message
    assert found in message
    assert expected in message
    assert "\n" not in message and "\x1b" not in message


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"id,accelerator_id\nx,h100-sxm-80,extra\n", "line 2"),
        (b"id,accelerator_id\nx\n", "line 2"),
        (b"accelerator_id\nh100-sxm-80\n", "field 'id'"),
        (b"id,source\nx,a\nx,b\n", "stands there twice"),
        (b'id,source\nx,"never closed\n', "not readable as CSV"),
        (b"id,source\nx,\xff\xfe\n", "not UTF-8"),
        (b"id" + b" " * (9 * 2**20), "larger than 8 MiB"),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_one_line(folder: Path, content: bytes, part: str) -> None:
    (folder / "gpu_rent.csv").write_bytes(content)
    with pytest.raises(ProfileError, match=re.escape(part)) as caught:
        loader.rent_rows()
    assert "gpu_rent.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_high_price_below_the_low_one_is_refused(folder: Path) -> None:
    row = "x,h100-sxm-80,Someone,on-demand,3.00,2.00,2026-11,https://example.org/,\n"
    (folder / "gpu_rent.csv").write_text(RENT_HEADER + row, encoding="utf-8")
    with pytest.raises(
        ProfileError, match=r"usd_per_gpu_hour_high.*at least usd_per_gpu_hour_low, which is 3.00"
    ):
        loader.rent_rows()


def test_a_rent_of_ones_own_joins_the_packaged_ones(folder: Path) -> None:
    row = "mine,rtx-4090,My cellar,on-demand,0.20,0.25,2026-11,https://example.org/,\n"
    (folder / "gpu_rent.csv").write_text(
        "\ufeff" + RENT_HEADER + row, encoding="utf-8"
    )  # as spreadsheets save it
    assert loader.rent_rows()[-1]["provider"] == "My cellar"


def my_model(**changes: object) -> dict[str, object]:
    entry: dict[str, object] = {
        "id": "my-model", "name": "My Model", "hub_id": None, "aliases": ["mine"], "family": "Mine", "licence": None,
        "released": None, "context_tokens": 4096, "modalities": ["text"], "parameters": {"total": None},
        "config": {"model_type": "llama"}, "sources": [{"what": "config", "where": "my disk", "basis": "file"}],
    }  # fmt: skip
    return entry | changes


def write_model(folder: Path, entry: object) -> None:
    (folder / "models").mkdir(exist_ok=True)
    (folder / "models" / "my-model.json").write_text(json.dumps(entry), encoding="utf-8")


def test_a_model_of_ones_own_is_found(folder: Path) -> None:
    write_model(folder, my_model())
    assert loader.model_entry("MINE")["id"] == "my-model"
    assert len(loader.model_rows()) == len(loader.packaged_model_rows()) + 1


@pytest.mark.parametrize(
    ("entry", "part"),
    [
        ([1, 2], "found a list"),
        (my_model(id="My Model"), "field 'id'"),
        (my_model(config={}), "config.model_type"),
        (my_model(context_tokens=0), "field 'context_tokens'"),
        (my_model(context_tokens=True), "field 'context_tokens'"),
        (my_model(parameters={"total": 7.5}), "parameters.total"),
        (my_model(parameters={"total": 7}), "parameters.source"),
        (my_model(sources=[]), "field 'sources'"),
        (my_model(sources=[{"what": "config", "where": "?", "basis": "guessed"}]), "sources.basis"),
        (my_model(license="mit"), "field 'license'"),
    ],
)
def test_a_malformed_model_of_ones_own_is_refused(folder: Path, entry: object, part: str) -> None:
    write_model(folder, entry)
    with pytest.raises(ProfileError) as caught:
        loader.model_rows()
    assert part in str(caught.value)
    assert "my-model.json" in str(caught.value)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"id": ' + "9" * 5_000 + "}", '{"id": "x"', ""])
def test_a_file_that_is_no_json_or_a_bomb_is_refused(folder: Path, text: str) -> None:
    (folder / "models").mkdir()
    (folder / "models" / "deep.json").write_text(text, encoding="utf-8")
    with pytest.raises(ProfileError, match="not readable as JSON"):
        loader.model_rows()


def test_an_unknown_model_names_the_nearest() -> None:
    with pytest.raises(ProfileError, match=r"no model 'qwen3-30b-a4b'.*did you mean qwen3-30b-a3b") as caught:
        loader.model_entry("qwen3-30b-a4b")
    assert "\n" not in str(caught.value)


def test_a_name_of_any_length_is_answered_at_once_and_in_short() -> None:
    # Without a bound, finding the nearest name of a million letters takes minutes (pytest's own limit is 5).
    with pytest.raises(ProfileError) as caught:
        loader.model_entry("x" * 1_000_000)
    assert len(str(caught.value)) < 400


def test_an_assumption_of_ones_own_replaces_the_packaged_one(folder: Path) -> None:
    text = (
        '[electricity_usd_per_kwh]\nvalue = 0.31\nunit = "USD/kWh"\nbasis = "measured"\nsource = "my bill"\n'
    )
    (folder / "assumptions.toml").write_text(text, encoding="utf-8")
    assert loader.assumptions()["electricity_usd_per_kwh"]["value"] == 0.31
    assert loader.assumptions()["pue"]["value"] == 1.54


@pytest.mark.parametrize(
    "text",
    [
        "[x",
        "x = 1",
        "[x]\nvalue = 1",
        '[x]\nvalue = "1"',
        "[x]\nvalue = -1",
        "x = " + "[" * 9000,
        "x = " + "9" * 5000,
    ],
)
def test_a_malformed_assumption_is_refused(folder: Path, text: str) -> None:
    (folder / "assumptions.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ProfileError, match=r"assumptions\.toml"):
        loader.assumptions()


def test_a_calibration_is_read_from_the_users_folder_and_its_name_cannot_leave_it(folder: Path) -> None:
    (folder / "calibrations").mkdir()
    (folder / "calibrations" / "mine.csv").write_text("id,factor,source\na,0.8,my bench\n", encoding="utf-8")
    assert loader.calibration_rows("mine")[0]["factor"] == "0.8"
    with pytest.raises(ProfileError, match=r"no profile 'calibrations/absent\.csv'"):
        loader.calibration_rows("absent")
    with pytest.raises(ProfileError, match="no name of a calibration"):
        loader.calibration_rows("../gpu_rent")


@pytest.mark.parametrize(
    "read",
    [loader.accelerator_rows, loader.rent_rows, loader.purchase_rows, loader.model_rows, loader.assumptions],
)
def test_a_folder_that_is_a_file_or_absent_changes_nothing(
    read: Callable[[], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv(loader.USER_FOLDER_VARIABLE, str(tmp_path / "file"))
    assert read()
