"""`planner models` as the catalogue answers it: found, filtered, sized and ordered."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hardware.units import GIB
from planner import api
from planner.api.catalogue import list_models
from planner.estimate.catalogue import SORT_KEYS, CatalogueModel, CatalogueQuery, SortKey
from profiles import loader
from profiles.errors import ProfileError

ENTRIES = {entry["id"]: entry for entry in loader.packaged_model_rows()}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads the user's own models."""
    monkeypatch.setenv(loader.USER_FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setenv("PLANNER_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def own_model(folder: Path, id_: str, **changes: object) -> None:
    entry = {
        "id": id_, "name": id_, "hub_id": None, "aliases": [], "family": "Own", "licence": None, "released": None,
        "context_tokens": None, "modalities": ["text"], "parameters": {"total": None},
        "config": {"model_type": "hyena_9000"}, "sources": [{"what": "config", "where": "here", "basis": "file"}],
    }  # fmt: skip
    (folder / f"{id_}.json").write_text(json.dumps(entry | changes))
    loader.forget_models()


def ids(query: CatalogueQuery) -> set[str]:
    return {model.entry["id"] for model in list_models(query).models}


def wanted(test: Callable[[dict[str, Any]], bool]) -> set[str]:
    return {id_ for id_, entry in ENTRIES.items() if test(dict(entry))}


@pytest.mark.parametrize(
    ("query", "test"),
    [
        (CatalogueQuery(), lambda e: True),
        (CatalogueQuery(licences=("MIT",)), lambda e: e["licence"] == "mit"),
        (CatalogueQuery(licences=("llama*", "mit")),
         lambda e: (e["licence"] or "").startswith("llama") or e["licence"] == "mit"),
        (CatalogueQuery(families=("qwen3",)), lambda e: e["family"] == "Qwen3"),
        (CatalogueQuery(families=("qwen3*",)), lambda e: e["family"].startswith("Qwen3")),
        (CatalogueQuery(modalities=("vision",)), lambda e: "image" in e["modalities"]),
        (CatalogueQuery(modalities=("image", "video")), lambda e: {"image", "video"} <= set(e["modalities"])),
        (CatalogueQuery(min_context_tokens=131_072), lambda e: (e["context_tokens"] or 0) >= 131_072),
        (CatalogueQuery(released_after="2026"), lambda e: (e["released"] or "") >= "2026"),
        (CatalogueQuery(text="qwen3 30b", licences=("apache-2.0",)),
         lambda e: "qwen3" in e["id"] and "30b" in e["id"] and e["licence"] == "apache-2.0"),
    ],
    ids=["all", "licence", "licences", "family", "families", "vision", "video", "context", "date", "text and licence"],
)  # fmt: skip
def test_a_filter_keeps_what_the_entries_say(
    query: CatalogueQuery, test: Callable[[dict[str, Any]], bool]
) -> None:
    found = ids(query)
    assert found == wanted(test)
    assert found


def test_the_parameters_of_published_totals_decide(folder: Path) -> None:
    between = CatalogueQuery(min_parameters=29_000_000_000, max_parameters=31_000_000_000)
    found = list_models(between).models
    assert "qwen3-30b-a3b" in {model.entry["id"] for model in found}
    assert all(29e9 <= (model.parameters or 0) <= 31e9 for model in found)


def test_mixtures_and_dense_models_are_all_there_are() -> None:
    moe, dense = (ids(CatalogueQuery(mixture_of_experts=kind)) for kind in (True, False))
    assert moe.isdisjoint(dense)
    assert {"qwen3-30b-a3b", "gpt-oss-20b", "deepseek-v3", "mixtral-8x7b-v0.1"} <= moe
    assert {"qwen3-8b", "llama-3.3-70b-instruct", "gemma-3-27b-it"} <= dense


@pytest.mark.parametrize(
    ("released", "since", "kept"),
    [
        ("2025-06", "2025-06-15", True),  # some day of June, perhaps the last
        ("2025-06-14", "2025-06-15", False),
        ("2025-06", "2025-07", False),
        ("2025", "2025-12", True),
        ("2025-Q2", "2025-06", True),
        ("2025-Q2", "2025-07", False),
        ("2025-H1", "2025-06-30", True),
        ("2025-H2", "2025-12", True),
        (None, "2000", False),
    ],
)
def test_dates_of_any_precision(folder: Path, released: str | None, since: str, kept: bool) -> None:
    own_model(folder, "dated", released=released)
    listing = list_models(CatalogueQuery(text="dated", released_after=since))
    assert [model.entry["id"] for model in listing.models] == (["dated"] if kept else [])
    assert any("dated" in note and "unknown" in note for note in listing.notes) is (released is None)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (CatalogueQuery(text="qwen3-30b-a4b"), ["did you mean qwen3-30b-a3b"]),
        (CatalogueQuery(text="zzzzzz"), ["none of the", "planner models"]),
        (CatalogueQuery(licences=("apache",)), ["did you mean apache-2.0"]),
        (CatalogueQuery(licences=("mti",)), ["did you mean mit"]),
        (CatalogueQuery(families=("quen3",)), ["did you mean Qwen3"]),
        (CatalogueQuery(modalities=("smell",)), ["there are", "image"]),
        (CatalogueQuery(released_after="June"), ["2026-03"]),
        (CatalogueQuery(released_after="2026-13"), ["2026-03"]),
    ],
)
def test_what_nothing_has_is_an_error_with_near_names(query: CatalogueQuery, words: list[str]) -> None:
    with pytest.raises(ProfileError) as caught:
        list_models(query)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_filter_that_leaves_nothing_is_an_answer() -> None:
    listing = list_models(CatalogueQuery(text="phi-4", min_context_tokens=10**9))
    assert listing.models == ()


@pytest.mark.parametrize(
    ("name", "quant", "n"), [("qwen3-8b", None, 8192), ("qwen3-30b-a3b", "Q8_0", 32_768), ("gpt-oss-20b", None, 16_384)]
)  # fmt: skip
def test_the_memory_is_that_of_planner_fit_in_ram(name: str, quant: str | None, n: int) -> None:
    query = CatalogueQuery(text=name, n_context_tokens=n, quant=quant)
    (model,) = (model for model in list_models(query).models if model.entry["id"] == name)
    quants = [model.quant] if model.quant else []
    (row,) = api.fit(name, on="512GiB DDR5-5600", contexts=[n], quants=quants).rows
    assert model.needed_bytes == row.placement.needed_bytes
    assert model.weight_bytes == row.model.storage.total_bytes
    assert (model.quant, model.is_native_quant) == (
        ("MXFP4_MOE", True) if name == "gpt-oss-20b" else (quant or "Q4_K_M", False)
    )


def test_more_memory_never_shows_fewer_models_and_more_context_never_more() -> None:
    def fitting(gib: int, n: int) -> set[str]:
        return ids(CatalogueQuery(text="qwen3", max_memory_bytes=gib * GIB, n_context_tokens=n))

    assert fitting(8, 4096) < fitting(24, 4096) < fitting(1024, 4096)
    assert fitting(24, 131_072) < fitting(24, 4096)


def test_the_limit_itself_still_fits_and_the_rest_is_counted() -> None:
    query = CatalogueQuery(text="qwen3-", n_context_tokens=8192)
    needs = {model.entry["id"]: model.needed_bytes for model in list_models(query).models}
    limit = needs["qwen3-8b"]
    assert limit is not None
    at = list_models(CatalogueQuery(text="qwen3-", n_context_tokens=8192, max_memory_bytes=limit))
    below = list_models(CatalogueQuery(text="qwen3-", n_context_tokens=8192, max_memory_bytes=limit - 1))
    assert "qwen3-8b" in {model.entry["id"] for model in at.models}
    assert "qwen3-8b" not in {model.entry["id"] for model in below.models}
    assert len(at.models) + at.n_too_large == len(needs)


def test_a_model_is_sized_at_no_more_than_it_was_trained_for_and_that_is_said() -> None:
    listing = list_models(CatalogueQuery(text="phi-4", n_context_tokens=1_000_000, families=("phi",)))
    model = next(model for model in listing.models if model.entry["id"] == "phi-4")
    assert model.n_context_tokens == model.entry["context_tokens"] == 16_384
    assert any("1,000,000" in note and "phi-4" in note for note in listing.notes)


def test_a_model_that_is_not_understood_is_listed_unsized_with_the_reason(folder: Path) -> None:
    own_model(folder, "odd", parameters={"total": 7_000, "source": "its card"})
    (model,) = list_models(CatalogueQuery(text="odd", families=("own",))).models
    assert (model.parameters, model.weight_bytes, model.is_own) == (7_000, None, True)
    assert "hyena_9000" in (model.problem or "")
    # Whether it fits, or is a mixture, nobody knows.
    for query in (CatalogueQuery(max_memory_bytes=2**50), CatalogueQuery(mixture_of_experts=False)):
        assert "odd" not in ids(query)


def test_a_model_on_top_of_a_packaged_one_is_marked_as_ones_own(folder: Path) -> None:
    own_model(folder, "qwen3-8b", name="Mine")
    found = {model.entry["id"]: model for model in list_models(CatalogueQuery(text="mine")).models}
    assert found["qwen3-8b"].is_own


@pytest.mark.parametrize("sort", SORT_KEYS)
def test_every_order_has_the_unknown_last_and_turns_round(folder: Path, sort: SortKey) -> None:
    own_model(folder, "qwen3-odd")
    query = CatalogueQuery(text="qwen3", n_context_tokens=4096)
    up = list_models(query, sort=sort).models
    down = list_models(query, sort=sort, reverse=True).models
    assert {m.entry["id"] for m in up} == {m.entry["id"] for m in down}
    value: dict[SortKey, Callable[[CatalogueModel], Any]] = {
        "family": lambda m: m.entry["family"].casefold(), "name": lambda m: m.entry["id"],
        "params": lambda m: m.parameters, "active": lambda m: m.active_parameters,
        "context": lambda m: m.entry["context_tokens"], "released": lambda m: m.entry["released"],
        "size": lambda m: m.weight_bytes, "needs": lambda m: m.needed_bytes,
    }  # fmt: skip
    found = [value[sort](model) for model in up]
    known = [item for item in found if item is not None]
    assert known == sorted(known)
    assert found[: len(known)] == known
    turned = [item for item in (value[sort](model) for model in down) if item is not None]
    assert turned == sorted(turned, reverse=True)


def test_progress_goes_from_nothing_to_all() -> None:
    steps: list[float] = []
    list_models(CatalogueQuery(text="qwen3-8b"), progress=lambda at, _: steps.append(at))
    assert steps[0] == 0
    assert steps[-1] == 1
    assert steps == sorted(steps)
