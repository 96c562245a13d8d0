"""Ollama's registry, as recorded from its protocol, on this machine."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from planner.errors import AccessError, MalformedError, NotFoundError, PlannerError, UnreachableError
from planner.readers.hub.repository import HubOptions
from planner.readers.ollama.registry import read_ollama_registry
from planner.readers.open_model import open_model
from tests.conformance.headers import PUBLISHED
from tests.gguf_writer import Tensor, gguf_header
from tests.planner.readers.hub_server import LocalHub, StoredFile, large

WEIGHTS: list[Tensor] = [("token_embd.weight", (4096, 1000), 0, 4096 * 1000 * 4)]
HEADER = gguf_header({"general.architecture": ("string", "llama")}, WEIGHTS)
GGUF = large(HEADER, -(-len(HEADER) // 32) * 32 + WEIGHTS[0][3])
DIGEST = hashlib.sha256(b"m").hexdigest()
REPO = "v2/library"


def _layer(kind: str, size: int, digest: str = f"sha256:{DIGEST}", **more: str) -> dict[str, object]:
    return {"mediaType": f"application/vnd.ollama.image.{kind}", "digest": digest, "size": size, **more}


def _serve(hub: LocalHub, layers: object, blob: StoredFile = GGUF) -> None:
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": "sha256:0"},
        "layers": layers,
    }
    hub.repos[REPO] = {
        "m/manifests/7b": large(json.dumps(manifest).encode()),
        f"m/blobs/sha256:{DIGEST}": blob,
    }


def _assert_one_line(caught: pytest.ExceptionInfo[PlannerError], words: str) -> None:
    assert words in str(caught.value)
    assert str(caught.value).isprintable()


def test_of_a_model_that_was_never_pulled_the_header_is_read(hub: LocalHub, options: HubOptions) -> None:
    other = hashlib.sha256(b"p").hexdigest()
    _serve(hub, [_layer("model", GGUF.n_bytes), _layer("projector", 2**30, f"sha256:{other}")])
    # Blobs lie elsewhere, as in the real registry: the address of a blob redirects to a storage host.
    hub.repos["cdn/x"] = {"blob": replace(GGUF, large=False)}
    hub.redirects["/blobs/"] = f"{hub.endpoint}/cdn/x/resolve/main/blob?signature=1"

    found = read_ollama_registry("m:7b", options=options, base_url=hub.storage_url)

    assert found.gguf is not None
    assert found.gguf.metadata["general.architecture"] == "llama"
    assert found.gguf.path == "ollama:m:7b"
    assert (found.name, found.tag, found.size_bytes) == ("m", "7b", GGUF.n_bytes)
    assert found.manifest.notes == ("Ollama loads a projector (vision or audio) beside the model: 1.0 GiB",)
    manifest_request, *_ = hub.seen
    assert manifest_request.path == "/v2/library/m/manifests/7b"
    assert "docker.distribution.manifest.v2+json" in manifest_request.headers["accept"]
    fetched = sum(
        int(last) - int(first) + 1
        for seen in hub.requests("api")
        for first, _, last in [seen.headers["range"].removeprefix("bytes=").partition("-")]
    )
    assert fetched <= 1.1 * len(HEADER)


def test_a_registry_on_this_machine_is_named_in_the_name(hub: LocalHub, options: HubOptions) -> None:
    _serve(hub, [_layer("model", GGUF.n_bytes)])
    host = hub.storage_url.removeprefix("http://")
    found = read_ollama_registry(f"ollama:{host}/library/m:7b", options=options)
    assert found.gguf is not None
    assert found.gguf.tensor_bytes == 16_384_000


def test_a_model_stored_tensor_by_tensor_has_its_config(hub: LocalHub, options: HubOptions) -> None:
    tensor = "sha256:" + "11" * 32
    config = large(b'{"model_type": "llama"}')
    _serve(
        hub,
        [_layer("json", 10, name="config.json"), _layer("tensor", 1000, tensor, name="a.weight")],
        config,
    )
    found = read_ollama_registry("m:7b", options=options, base_url=hub.storage_url)
    assert (found.gguf, found.config, found.size_bytes) == (None, {"model_type": "llama"}, 1000)


@pytest.mark.parametrize(
    ("layers", "error", "words"),
    [
        (5, MalformedError, "is not an Ollama manifest: it lists no layers"),
        ([], NotFoundError, "has no weights in its manifest: it runs in a cloud"),
        ([_layer("model", 5, "sha256:../../x")], MalformedError, "sha256 is expected"),
        ([_layer("model", 5)], MalformedError, "have 15.6 MiB, their manifest says 5 B"),
    ],
    ids=["none", "empty", "digest", "size"],
)
def test_a_manifest_that_does_not_hold(
    hub: LocalHub, options: HubOptions, layers: object, error: type[PlannerError], words: str
) -> None:
    _serve(hub, layers)
    with pytest.raises(error) as caught:
        read_ollama_registry("m:7b", options=options, base_url=hub.storage_url)
    _assert_one_line(caught, words)


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (404, NotFoundError, "has no such model or blob: the manifest of 'ollama:m:7b'"),
        (401, AccessError, "it is private or gated; pull it with Ollama"),
        (503, UnreachableError, "answered HTTP 503 for the manifest of 'ollama:m:7b'"),
    ],
)
def test_other_answers(
    hub: LocalHub, options: HubOptions, status: int, error: type[PlannerError], words: str
) -> None:
    hub.failing["/v2/"] = status
    with pytest.raises(error) as caught:
        read_ollama_registry("m:7b", options=options, base_url=hub.storage_url)
    _assert_one_line(caught, words)
    with pytest.raises(NotFoundError, match="is not a name of an Ollama model"):
        read_ollama_registry("../m", options=options)


def test_a_name_that_is_not_pulled_is_opened_from_its_registry(
    hub: LocalHub, options: HubOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path))
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")  # nothing listens there
    small = replace(PUBLISHED["llama-3.1-8b"], n_layers=2)
    tensors = small.tensors()
    header = gguf_header(small.metadata(), tensors)
    # Each tensor is a multiple of 32 bytes, so nothing lies between them.
    weights = large(header, -(-len(header) // 32) * 32 + sum(tensor[3] for tensor in tensors))
    _serve(hub, [_layer("model", weights.n_bytes), _layer("projector", 2**30)], weights)
    name = f"{hub.storage_url.removeprefix('http://')}/library/m:7b"

    opened = open_model(f"ollama:{name}", options=options)
    assert opened.network.n_layers == 2
    assert opened.notes[-1] == "Ollama loads a projector (vision or audio) beside the model: 1.0 GiB"

    hub.failing["/v2/"] = 503
    with pytest.raises(UnreachableError) as caught:
        open_model(f"ollama:{name}", options=options)
    _assert_one_line(caught, "no Ollama server answers at http://127.0.0.1:1")
    _assert_one_line(caught, "nor does its registry answer")
