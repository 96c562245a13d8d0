"""The user's own models, fetched from a hub on this machine through its real client."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from planner.api.own_models import add_model, remove_model, update_models
from planner.errors import (
    AccessError,
    MalformedError,
    NotFoundError,
    UnknownArchitectureError,
    UnreachableError,
)
from planner.readers.catalogue_entry import Label
from planner.readers.hub.repository import HubOptions
from profiles import loader
from profiles.errors import ProfileError
from tests.planner.readers.hub_server import COMMIT, LocalHub, large, small

os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"  # read by the client when it is imported

REPO = "some-org/Tiny-90K"
TODAY = date(2026, 11, 22)
CONFIG: dict[str, object] = {
    "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 128, "vocab_size": 256, "max_position_embeddings": 4096,
    "tie_word_embeddings": True, "rms_norm_eps": 1e-6, "rope_theta": 10_000.0,
}  # fmt: skip
# Table 256·64; a layer: q and o 2·64·64, k and v 2·64·32, feed-forward 3·64·128, norms 2·64; last norm 64.
TOTAL = 256 * 64 + 2 * (2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128 + 2 * 64) + 64
FACTS: dict[str, object] = {
    "safetensors": {"parameters": {"BF16": TOTAL}, "total": TOTAL},
    "cardData": {"license": "other", "license_name": "tiny-licence"},
    "createdAt": "2026-03-04T05:06:07.000Z",
    "tags": ["base_model:qwen/qwen3-8b", "base_model:finetune:qwen/qwen3-8b"],
}


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    from huggingface_hub import close_session

    with LocalHub() as server:
        server.repos[REPO] = {"config.json": small(CONFIG)}
        server.facts[REPO] = dict(FACTS)
        yield server
        close_session()


@pytest.fixture
def options(hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HubOptions:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return HubOptions(endpoint=hub.endpoint, cache_dir=tmp_path / "cache", token=False, timeout_s=5)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own models, none at first."""
    monkeypatch.setenv(loader.USER_FOLDER_VARIABLE, str(tmp_path / "own"))
    return tmp_path / "own" / "models"


def later(options: HubOptions, tmp_path: Path) -> HubOptions:
    """The same hub after a push: its one commit never changes here, and the client keeps files by commit."""
    return replace(options, cache_dir=tmp_path / "later")


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_repository_becomes_an_entry_with_every_fact_and_where_it_is_from(
    hub: LocalHub, options: HubOptions, folder: Path
) -> None:
    added = add_model(REPO, label=Label(aliases=("mine",)), options=options, today=TODAY)
    assert added.file == folder / "tiny-90k.json"
    assert names_in(folder) == ["tiny-90k.json"]
    entry = json.loads(added.file.read_text())
    assert entry == loader.model_entry("MINE") == loader.model_entry("some-org/tiny-90k")
    url = f"{hub.endpoint}/{REPO}"
    seen = {"date": "2026-11-22", "revision": COMMIT}
    assert entry == {
        "id": "tiny-90k", "name": "Tiny-90K", "hub_id": REPO, "aliases": ["mine"],
        "family": "Qwen3",  # of the packaged model that the card says it was made from
        "licence": "tiny-licence", "released": "2026-03-04", "context_tokens": 4096, "modalities": ["text"],
        "parameters": {"total": TOTAL, "includes": "text", "text": TOTAL, "source": "hub safetensors total"},
        "config": CONFIG,
        "sources": [
            {"what": "config", "where": f"{url}/blob/{COMMIT}/config.json", **seen, "basis": "file"},
            {
                "what": "licence, released (the day the repository was made), parameters.total",
                "where": url, **seen, "basis": "published",
            },
        ],
    }  # fmt: skip


def test_what_the_hub_does_not_state_stays_unknown(hub: LocalHub, options: HubOptions) -> None:
    # A repository from before the hub noted dates, whose card has no metadata and whose weights are no safetensors.
    hub.facts[REPO] = {"safetensors": None, "createdAt": "2022-03-02T23:29:04.000Z", "cardData": None}
    entry = add_model(REPO, options=options, today=TODAY).entry
    assert (entry["licence"], entry["released"], entry["family"]) == (None, None, "llama")
    assert entry["parameters"]["source"] == "counted from config"
    assert [source["what"] for source in entry["sources"]] == ["config"]


def test_packed_weights_are_not_taken_for_parameters(hub: LocalHub, options: HubOptions) -> None:
    # Eight 4-bit weights in one I32: an eighth of the elements, and scales.
    hub.facts[REPO] = {"safetensors": {"parameters": {"I32": TOTAL // 8, "F16": 2_000}, "total": 0}}
    added = add_model(REPO, options=options, today=TODAY)
    assert added.entry["parameters"]["total"] == TOTAL
    assert added.entry["parameters"]["source"] == "counted from config"
    assert any(f"{TOTAL // 8 + 2_000:,}" in note and f"{TOTAL:,}" in note for note in added.notes)


def test_the_config_is_fetched_at_the_commit_of_the_facts(hub: LocalHub, options: HubOptions) -> None:
    entry = add_model(f"{REPO}@v1.0", options=options, today=TODAY).entry
    assert entry["sources"][0]["branch"] == "v1.0"
    resolved = [seen.path for seen in hub.seen if "/resolve/" in seen.path]
    assert resolved and all(f"/resolve/{COMMIT}/" in path for path in resolved)


def test_a_password_in_the_hubs_address_is_not_kept(hub: LocalHub, options: HubOptions) -> None:
    options = replace(options, endpoint=hub.endpoint.replace("://", "://me:secret@"))
    added = add_model(REPO, options=options, today=TODAY)
    assert "secret" not in added.file.read_text()
    assert hub.endpoint in added.file.read_text()


def test_a_folder_becomes_an_entry_without_a_network(hub: LocalHub, folder: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "My Model"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text(json.dumps(CONFIG))
    entry = add_model(str(checkpoint), label=Label(family="Mine"), today=TODAY).entry
    assert (entry["id"], entry["name"], entry["hub_id"], entry["family"]) == (
        "my-model",
        "My Model",
        None,
        "Mine",
    )
    (source,) = entry["sources"]
    assert source["where"] == str(checkpoint / "config.json")
    assert source["basis"] == "file"
    assert hub.seen == []
    # The same file by its own path is the same model.
    with pytest.raises(ProfileError, match="--force"):
        add_model(str(checkpoint / "config.json"), today=TODAY)


@pytest.mark.parametrize(
    ("fault", "error", "part"),
    [
        ("gated", AccessError, "licence"),
        ("absent", NotFoundError, "no repository"),
        ("hanging", UnreachableError, "did not answer"),
        ("failing", UnreachableError, "HTTP 503"),
        ("truncated", MalformedError, "not valid JSON"),
        ("list", MalformedError, "object"),
        ("unknown", UnknownArchitectureError, "hyena_9000"),
        ("gguf only", NotFoundError, "GGUF"),
        ("nothing", NotFoundError, "config.json"),
    ],
)
def test_what_goes_wrong_is_one_line_and_leaves_no_file(
    hub: LocalHub, options: HubOptions, folder: Path, fault: str, error: type[Exception], part: str
) -> None:
    match fault:
        case "gated":
            hub.gated.add(REPO)
        case "absent":
            del hub.repos[REPO]
        case "hanging":
            hub.hanging.add("config.json")
            options = replace(options, timeout_s=0.3)
        case "failing":
            hub.failing["/api/models"] = 503
        case "truncated":
            hub.repos[REPO]["config.json"] = small(json.dumps(CONFIG).encode()[:-9])
        case "list":
            hub.repos[REPO]["config.json"] = small(b"[1, 2]")
        case "unknown":
            hub.repos[REPO]["config.json"] = small({**CONFIG, "model_type": "hyena_9000"})
        case "gguf only":
            hub.repos[REPO] = {"m-Q8_0.gguf": large(b"GGUF")}
        case "nothing":
            hub.repos[REPO] = {"README.md": small(b"# empty")}
    with pytest.raises(error) as caught:
        add_model(REPO, options=options, today=TODAY)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert names_in(folder) == []


@pytest.mark.parametrize(
    "text", ["ollama:llama3", "qwen3-8b", "no-such-name", f"{REPO}/model.gguf", f"{REPO}:Q4_K_M"]
)
def test_what_has_no_config_of_its_own_is_not_added(text: str, options: HubOptions, folder: Path) -> None:
    with pytest.raises(NotFoundError):
        add_model(text, options=options, today=TODAY)
    assert names_in(folder) == []


def test_a_model_is_not_replaced_unasked(
    hub: LocalHub, options: HubOptions, folder: Path, tmp_path: Path
) -> None:
    add_model(REPO, options=options, today=TODAY)
    before = (folder / "tiny-90k.json").read_bytes()
    hub.repos[REPO]["config.json"] = small({**CONFIG, "max_position_embeddings": 8192})
    with pytest.raises(ProfileError, match=r"in the catalogue as 'tiny-90k' already; .*--force"):
        add_model(REPO, options=options, today=TODAY)
    assert (folder / "tiny-90k.json").read_bytes() == before
    options = later(options, tmp_path)
    assert add_model(REPO, replace=True, options=options, today=TODAY).entry["context_tokens"] == 8192
    assert loader.model_entry("tiny-90k")["context_tokens"] == 8192


def test_a_packaged_model_is_not_hidden_unasked(hub: LocalHub, options: HubOptions) -> None:
    hub.repos["someone/Qwen3-8B"] = {"config.json": small(CONFIG)}
    with pytest.raises(ProfileError, match=r"'qwen3-8b' is that of Qwen/Qwen3-8B; choose another --name"):
        add_model("someone/Qwen3-8B", options=options, today=TODAY)
    entry = add_model(
        "someone/Qwen3-8B", label=Label(name="Qwen3 8B of mine"), options=options, today=TODAY
    ).entry
    assert entry["id"] == "qwen3-8b-of-mine"
    assert loader.model_entry("qwen3-8b")["hub_id"] == "Qwen/Qwen3-8B"
    hub.repos["Qwen/Qwen3-8B"] = {"config.json": small(CONFIG)}
    with pytest.raises(ProfileError, match="planner models update qwen3-8b"):
        add_model("Qwen/Qwen3-8B", options=options, today=TODAY)


def test_a_name_of_another_model_is_refused(options: HubOptions, folder: Path) -> None:
    with pytest.raises(ProfileError, match="'Qwen/Qwen3-4B' is a name of 'qwen3-4b' already"):
        add_model(REPO, label=Label(aliases=("Qwen/Qwen3-4B",)), options=options, today=TODAY)
    assert names_in(folder) == []


@pytest.mark.parametrize("name", ["模型", "", "\x1b[31m", "x" * 500])
def test_a_name_that_gives_no_id_is_refused(name: str, options: HubOptions) -> None:
    if name == "\x1b[31m":  # what is left of an escape sequence is plain text, and harmless
        assert add_model(REPO, label=Label(name=name), options=options, today=TODAY).entry["id"] == "31m"
    elif name == "":  # as if it had not been given
        assert add_model(REPO, label=Label(name=name), options=options, today=TODAY).entry["id"] == "tiny-90k"
    else:
        with pytest.raises(MalformedError, match="--name"):
            add_model(REPO, label=Label(name=name), options=options, today=TODAY)


def test_an_update_shows_and_keeps_what_changed(
    hub: LocalHub, options: HubOptions, folder: Path, tmp_path: Path
) -> None:
    add_model(REPO, label=Label(name="Mine", aliases=("m",), family="F"), options=options, today=TODAY)
    (same,) = update_models(options=options, today=TODAY)
    assert (same.changes, same.file, same.problem) == ((), None, None)

    hub.repos[REPO]["config.json"] = small(
        {**CONFIG, "max_position_embeddings": 8192, "num_hidden_layers": 3}
    )
    hub.facts[REPO] = {**FACTS, "cardData": {"license": "mit"}, "safetensors": None}
    options = later(options, tmp_path)
    before = (folder / "mine.json").read_bytes()
    (dry,) = update_models(dry_run=True, options=options, today=TODAY)
    assert (folder / "mine.json").read_bytes() == before
    (done,) = update_models(options=options, today=TODAY)
    assert done.changes == dry.changes
    assert done.file == folder / "mine.json"
    changes = {change.field: (change.old, change.new) for change in done.changes}
    layer = 2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128 + 2 * 64
    assert changes == {
        "licence": ("tiny-licence", "mit"),
        "context_tokens": (4096, 8192),
        "config.max_position_embeddings": (4096, 8192),
        "config.num_hidden_layers": (2, 3),
        "parameters.total": (TOTAL, TOTAL + layer),
        "parameters.text": (TOTAL, TOTAL + layer),
        "parameters.source": ("hub safetensors total", "counted from config"),
    }
    entry = loader.model_entry("m")
    assert (entry["name"], entry["family"], entry["licence"]) == ("Mine", "F", "mit")


def test_one_failing_model_does_not_stop_the_others(hub: LocalHub, options: HubOptions, folder: Path) -> None:
    other = "some-org/Other"
    hub.repos[other] = {"config.json": small(CONFIG)}
    for repo in (REPO, other):
        add_model(repo, options=options, today=TODAY)
    (folder / "broken.json").write_text('{"id": "broken"')
    hub.gated.add(other)
    hub.facts[REPO] = {**FACTS, "cardData": {"license": "mit"}}
    steps: list[tuple[float, str]] = []
    outcomes = {
        done.id: done
        for done in update_models(
            options=options, today=TODAY, progress=lambda at, what: steps.append((at, what))
        )
    }
    assert list(outcomes) == ["broken", "other", "tiny-90k"]
    assert "broken.json" in (outcomes["broken"].problem or "")
    assert "gated" in (outcomes["other"].problem or "")
    assert [change.field for change in outcomes["tiny-90k"].changes] == ["licence"]
    assert [at for at, _ in steps] == sorted(at for at, _ in steps)
    assert steps[-1][0] == 1


def test_an_unknown_name_stops_before_anything_is_fetched(hub: LocalHub, options: HubOptions) -> None:
    with pytest.raises(ProfileError, match="did you mean qwen3-8b"):
        update_models(["qwen3-8b", "qwen3-8bb"], options=options, today=TODAY)
    assert hub.seen == []


def test_a_packaged_model_is_updated_on_top_and_keeps_what_the_hub_does_not_state(
    hub: LocalHub, options: HubOptions, folder: Path
) -> None:
    packaged = loader.model_entry("qwen3-vl-32b-instruct")
    hub.repos["Qwen/Qwen3-VL-32B-Instruct"] = {
        "config.json": small(
            {**packaged["config"], "video_token_id": 151_656, "transformers_version": "4.57"}
        )
    }
    hub.facts["Qwen/Qwen3-VL-32B-Instruct"] = {"safetensors": None, "createdAt": "2025-10-19T00:00:00.000Z"}
    (done,) = update_models(["qwen3-vl-32b"], options=options, today=TODAY)
    # Nothing else: the licence is not stated, the total merely counted, and the date is only the repository's.
    assert {change.field for change in done.changes} == {
        "config.video_token_id",
        "config.transformers_version",
    }
    entry = loader.model_entry("qwen3-vl-32b-instruct")
    for field in ("name", "aliases", "family", "licence", "released", "modalities", "parameters"):
        assert entry[field] == packaged[field]
    told = {fact for source in entry["sources"] for fact in source["what"].split(", ")}
    assert {"config", "licence", "released", "parameters.total"} <= told
    assert entry["sources"][0]["revision"] == COMMIT
    assert names_in(folder) == ["qwen3-vl-32b-instruct.json"]
    removed = remove_model("qwen3-vl-32b")
    assert removed.uncovers_packaged
    assert loader.model_entry("qwen3-vl-32b-instruct") == packaged


def test_a_model_from_a_file_is_read_again_from_there(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "thing.json"
    file.write_text(json.dumps(CONFIG))
    add_model(str(file), today=TODAY)
    file.write_text(json.dumps({**CONFIG, "rope_theta": 1_000_000.0}))
    (done,) = update_models(today=TODAY)
    assert [(change.field, change.old, change.new) for change in done.changes] == [
        ("config.rope_theta", 10_000.0, 1_000_000.0)
    ]
    file.unlink()
    (gone,) = update_models(today=TODAY)
    assert "not there any more" in (gone.problem or "")


def test_removing(options: HubOptions, folder: Path) -> None:
    add_model(REPO, label=Label(aliases=("mine",)), options=options, today=TODAY)
    with pytest.raises(ProfileError, match="did you mean tiny-90k"):
        remove_model("tiny-9k")
    with pytest.raises(ProfileError, match="comes with the planner"):
        remove_model("qwen3-8b")
    assert remove_model("MINE").file == folder / "tiny-90k.json"
    assert names_in(folder) == []
    with pytest.raises(ProfileError, match="no model 'mine'"):
        loader.model_entry("mine")


def test_a_broken_entry_can_be_removed_and_replaced(options: HubOptions, folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in ("bad", "tiny-90k"):
        (folder / f"{name}.json").write_text("{")
    with pytest.raises(ProfileError, match=r"bad\.json: not readable as JSON"):
        loader.model_rows()
    remove_model("bad")
    with pytest.raises(ProfileError, match="--force"):
        add_model(REPO, options=options, today=TODAY)
    add_model(REPO, replace=True, options=options, today=TODAY)
    assert loader.model_entry("tiny-90k")["hub_id"] == REPO
