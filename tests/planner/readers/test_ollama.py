"""Ollama's folder and Ollama's server."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from planner.errors import AccessError, MalformedError, NotFoundError, PlannerError, UnreachableError
from planner.readers.gguf.file import read_gguf
from planner.readers.ollama.local import OllamaModel, OllamaTensor, resolve_ollama, server_url
from tests.gguf_writer import write_gguf

HEX = "ab" * 32
NOWHERE = "127.0.0.1:1"  # nothing listens on port 1


def _store(models: Path, name: str, layers: object) -> None:
    """A manifest as `ollama pull` leaves it."""
    manifest = models / "manifests" / name
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_text(json.dumps({"schemaVersion": 2, "layers": layers}))


def _layer(digest: object, kind: str = "model", size: object = 123) -> dict[str, object]:
    return {"mediaType": f"application/vnd.ollama.image.{kind}", "digest": digest, "size": size}


def _blob(models: Path, digest: str) -> Path:
    (models / "blobs").mkdir(parents=True, exist_ok=True)
    return write_gguf(models / "blobs" / f"sha256-{digest}", {"general.architecture": ("string", "llama")})


def _resolve(name: str, home: Path, host: str = NOWHERE, **env: str) -> OllamaModel:
    settings = {"OLLAMA_HOST": host, **env}
    return resolve_ollama(name, settings, home, timeout_s=0.5, system_models=home / "system")


@pytest.mark.parametrize(
    ("name", "stored_as", "tag"),
    [
        ("llama3.1:8b", "registry.ollama.ai/library/llama3.1/8b", "8b"),
        ("ollama:llama3.1", "registry.ollama.ai/library/llama3.1/latest", "latest"),
        ("me/mine:x", "registry.ollama.ai/me/mine/x", "x"),
        ("hf.co/org/name-GGUF:Q4_K_M", "hf.co/org/name-GGUF/Q4_K_M", "Q4_K_M"),
        ("localhost:5000/ns/m", "localhost:5000/ns/m/latest", "latest"),
    ],
)
def test_a_pulled_model_is_found_in_its_folder(tmp_path: Path, name: str, stored_as: str, tag: str) -> None:
    models = tmp_path / ".ollama" / "models"
    projector = "cd" * 32
    layers = [
        _layer("sha256:" + "ef" * 32, "template"),
        _layer(f"sha256:{HEX}"),
        _layer(f"sha256:{projector}", "projector"),
    ]
    _store(models, stored_as, layers)
    blob, other = _blob(models, HEX), _blob(models, projector)

    found = _resolve(name, tmp_path)

    assert found.blob_path == blob
    assert found.projector_path == other
    assert (found.tag, found.size_bytes, found.model_info) == (tag, 123, None)
    assert read_gguf(blob).metadata["general.architecture"] == "llama"


def test_the_folder_can_be_chosen_and_the_services_folder_comes_second(tmp_path: Path) -> None:
    for folder, digest in (("chosen", "11" * 32), ("system", "22" * 32)):
        _store(tmp_path / folder, "registry.ollama.ai/library/m/latest", [_layer(f"sha256:{digest}")])
        _blob(tmp_path / folder, digest)
    chosen = _resolve("m", tmp_path, OLLAMA_MODELS=str(tmp_path / "chosen"))
    assert chosen.blob_path == tmp_path / "chosen" / "blobs" / f"sha256-{'11' * 32}"
    assert _resolve("m", tmp_path).blob_path == tmp_path / "system" / "blobs" / f"sha256-{'22' * 32}"


@pytest.mark.parametrize(
    "digest",
    [
        "sha256:../../../../etc/passwd",
        "sha256:" + "g" * 64,
        f"sha256:{HEX}\n",
        f"md5:{HEX}",
        5,
        None,
        f"../{HEX}",
    ],
)
def test_a_digest_cannot_lead_out_of_the_folder(tmp_path: Path, digest: object) -> None:
    _store(tmp_path / ".ollama" / "models", "registry.ollama.ai/library/m/latest", [_layer(digest)])
    with pytest.raises(MalformedError, match="sha256 is expected") as caught:
        _resolve("m", tmp_path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("layers", [None, 5, {}])
def test_a_broken_manifest_is_refused(tmp_path: Path, layers: object) -> None:
    _store(tmp_path / ".ollama" / "models", "registry.ollama.ai/library/m/latest", layers)
    with pytest.raises(MalformedError, match="is not an Ollama manifest"):
        _resolve("m", tmp_path)


@pytest.mark.parametrize(
    "name",
    ["", "../x", "a/../b", "a/b/c/d", "m:", ":x", "m:../../x", "-m", "m\n", "a//b", "/etc/passwd", "x" * 200],
)
def test_a_name_that_cannot_be_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFoundError, match="is not a name of an Ollama model"):
        _resolve(name, tmp_path)


SHOWN = {
    "details": {"family": "llama", "quantization_level": "Q4_K_M"},
    "model_info": {"general.architecture": "llama", "llama.block_count": 2, "tokenizer.ggml.tokens": None},
    "tensors": [{"name": "token_embd.weight", "type": "Q4_K", "shape": [256, 10]}],
}


@contextlib.contextmanager
def _server(
    answer: Callable[[dict[str, Any]], tuple[int, bytes]],
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An Ollama that answers /api/show with what `answer` makes of the question."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            """Say nothing."""

        def do_POST(self) -> None:
            question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append({"path": self.path, **question})
            status, body = answer(question)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if status == 302:
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()
            try:
                self.wfile.write(body)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the reader has had enough

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_model_that_is_not_here_is_asked_of_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A proxy for the outside world must not stand between this machine and itself.
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with _server(lambda question: (200, json.dumps(SHOWN).encode())) as (host, asked):
        found = _resolve("llama3.1:8b", tmp_path, host)
    assert asked == [{"path": "/api/show", "model": "llama3.1:8b", "verbose": False}]
    assert found.blob_path is None
    assert found.model_info is not None
    assert found.model_info["llama.block_count"] == 2
    assert found.details["quantization_level"] == "Q4_K_M"
    assert found.tensors == (OllamaTensor(name="token_embd.weight", type_name="Q4_K", shape=(256, 10)),)


def test_arrays_that_a_short_answer_leaves_out_are_asked_for(tmp_path: Path) -> None:
    def answer(question: dict[str, Any]) -> tuple[int, bytes]:
        heads = [8, 0, 8, 0, 8, 0] if question["verbose"] else []
        return 200, json.dumps({"model_info": {"x.attention.head_count_kv": heads}}).encode()

    with _server(answer) as (host, asked):
        found = _resolve("m", tmp_path, host)
    assert [question["verbose"] for question in asked] == [False, True]
    assert found.model_info == {"x.attention.head_count_kv": [8, 0, 8, 0, 8, 0]}
    assert found.tensors is None


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (
            404,
            b'{"error":"model not found"}',
            NotFoundError,
            "has no model 'm:x'; get it with: ollama pull m:x",
        ),
        (500, b"", UnreachableError, "answered HTTP 500; is it an Ollama server?"),
        (401, b"", AccessError, "refused to show 'm:x' (HTTP 401)"),
        (302, b"", UnreachableError, "answered HTTP 302"),
        (200, b"<html>", MalformedError, "is not valid JSON"),
        (200, b"[]", MalformedError, "holds a JSON list"),
        (200, b"{}", MalformedError, "tells no architecture of 'm:x'"),
        (200, b'{"model_info": 5}', MalformedError, "tells no architecture"),
        (200, b'{"model_info": {"a": 1}, "tensors": [{"name": 1}]}', MalformedError, "describes a tensor as"),
        (200, b'{"model_info": {"a": 1}, "tensors": 5}', MalformedError, "describes a tensor as"),
        (
            200,
            b'{"model_info": {"a": 1}, "tensors": [{"name": "a", "type": "F16", "shape": [4294967296, 2147483648]}]}',
            MalformedError,
            "describes a tensor as",
        ),
        (
            200,
            b'{"model_info": {"a": 1}, "tensors": [{"name": "a", "type": "F16", "shape": [1, 1, 1, 1, 1]}]}',
            MalformedError,
            "describes a tensor as",
        ),
        (
            200,
            b'{"model_info": {"a": 1}, "tensors": [' + b"{}," * 65_536 + b"{}]}",
            MalformedError,
            "tells 65,537 tensors; at most 65,536 are read",
        ),
        (
            200,
            b'{"model_info": {"a": 1' + b"0" * 20 + b"}}",
            MalformedError,
            "tells a number of 'm:x' that no GGUF can hold",
        ),
        (
            200,
            b'{"model_info": {"a": [1, [1' + b"0" * 20 + b"]]}}",
            MalformedError,
            "tells a number of 'm:x' that no GGUF can hold",
        ),
        (200, b" " * (33 * 2**20), MalformedError, "answered more than 32.0 MiB"),
        (200, b'{"a":' * 9000, MalformedError, "nested too deeply"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_answers(
    tmp_path: Path, status: int, body: bytes, error: type[PlannerError], words: str
) -> None:
    with _server(lambda question: (status, body)) as (host, _), pytest.raises(error) as caught:
        _resolve("m:x", tmp_path, host)
    assert words in str(caught.value)
    assert str(caught.value).isprintable()


def test_without_a_server_both_places_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError) as caught:
        _resolve("m", tmp_path)
    message = str(caught.value)
    assert f"model 'm' is not in '{tmp_path}/.ollama/models', and no Ollama server answers at" in message
    assert "http://127.0.0.1:1 (Connection refused); start it with: ollama serve" in message


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"])
def test_a_server_that_falls_silent_is_left_within_the_time_out(tmp_path: Path, said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepted: list[socket.socket] = []

        def accept() -> None:
            connection, _ = listener.accept()
            accepted.append(connection)
            connection.sendall(said)

        thread = threading.Thread(target=accept)
        thread.start()
        started = time.monotonic()
        with pytest.raises(UnreachableError, match=r"did not answer within 0.5 s"):
            _resolve("m", tmp_path, f"127.0.0.1:{listener.getsockname()[1]}")
        assert time.monotonic() - started < 3
        thread.join()
        accepted[0].close()


@pytest.mark.parametrize(
    "said", [b"SSH-2.0-OpenSSH_9.9\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"]
)
def test_a_server_that_breaks_off_is_reported(tmp_path: Path, said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(said)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises((UnreachableError, MalformedError)) as caught:
            _resolve("m", tmp_path, f"127.0.0.1:{listener.getsockname()[1]}")
        assert str(caught.value).isprintable()
        thread.join()


@pytest.mark.parametrize(
    ("text", "url"),
    # As Ollama's own envconfig reads OLLAMA_HOST.
    [
        ("", "http://127.0.0.1:11434"),
        ("box", "http://box:11434"),
        ("box:1234", "http://box:1234"),
        (":1234", "http://127.0.0.1:1234"),
        (" 'box:1234' ", "http://box:1234"),
        ("0.0.0.0", "http://0.0.0.0:11434"),
        ("http://box", "http://box:80"),
        ("https://box", "https://box:443"),
        ("https://box:8443/ollama/", "https://box:8443/ollama"),
        ("::1", "http://[::1]:11434"),
        ("[::1]", "http://[::1]:11434"),
        ("[::1]:1234", "http://[::1]:1234"),
    ],
)
def test_the_servers_address(text: str, url: str) -> None:
    assert server_url({"OLLAMA_HOST": text}) == url


@pytest.mark.parametrize("text", ["box:99999", "box:abc", "ftp://box", "bo x", "a\nb"])
def test_an_address_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(UnreachableError, match=r"OLLAMA_HOST is .*; write HOST:PORT") as caught:
        server_url({"OLLAMA_HOST": text})
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "told",
    [
        '["<unk>", "a\\"]", "\\\\", "[", "é"]',
        "[1, 2, 3]",
        "[]",
        "[" + ", ".join(['"Ġtoken"'] * 300_000) + "]",
    ],
    ids=["texts", "numbers", "empty", "long"],
)
def test_a_vocabulary_in_an_answer_is_left_unread(tmp_path: Path, told: str) -> None:
    # Three times 300,000 values, beyond what is read of any JSON: nothing depends on them.
    template = json.dumps('"tokenizer.ggml.tokens": [1, 2')
    body = (
        f'{{"template": {template}, "model_info": {{"x.block_count": 2, "tokenizer.ggml.tokens": {told}, '
        f'"tokenizer.ggml.merges" : {told}, "tokenizer.ggml.token_type":{told}, "y": [1]}}}}'
    )
    with _server(lambda question: (200, body.encode())) as (host, _):
        found = _resolve("m", tmp_path, host)
    assert found.model_info == {
        "x.block_count": 2,
        "tokenizer.ggml.tokens": None,
        "tokenizer.ggml.merges": None,
        "tokenizer.ggml.token_type": None,
        "y": [1],
    }


def _always(body: bytes, question: dict[str, Any]) -> tuple[int, bytes]:
    return 200, body


def test_an_answer_of_nothing_but_brackets_is_refused_quickly(tmp_path: Path) -> None:
    for piece in (b'"tokenizer.a":["', b'"tokenizer.a":[', b'"tokenizer.a":["\\', b'"tokenizer.a":["""'):
        body = b'{"model_info": ' + piece * (8 * 2**20 // len(piece))
        started = time.monotonic()
        with _server(partial(_always, body)) as (host, _), pytest.raises(MalformedError):
            _resolve("m", tmp_path, host)
        assert time.monotonic() - started < 5


def test_what_is_loaded_beside_the_weights_is_told(tmp_path: Path) -> None:
    models = tmp_path / ".ollama" / "models"
    layers = [
        _layer(f"sha256:{HEX}"),
        _layer("sha256:" + "cd" * 32, "projector", 2**30),
        _layer("sha256:" + "ef" * 32, "adapter", None),
        _layer("sha256:" + "12" * 32, "draft", 3 * 2**20),
        {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": "no digest"},
    ]
    _store(models, "registry.ollama.ai/library/m/latest", layers)
    _blob(models, HEX)
    adapter = _blob(models, "ef" * 32)

    found = _resolve("m", tmp_path)
    assert found.notes == (
        "Ollama loads a projector (vision or audio) beside the model: 1.0 GiB",
        "Ollama loads an adapter (LoRA) beside the model",
        "Ollama loads a draft model beside the model: 3.0 MiB",
    )
    assert found.adapter_paths == (adapter,)
    assert found.projector_path is None  # not on this machine

    answer = {**SHOWN, "projector_info": {"general.architecture": "clip"}}
    with _server(lambda question: (200, json.dumps(answer).encode())) as (host, _):
        assert _resolve("other", tmp_path, host).notes == (
            "Ollama loads a projector (vision or audio) beside the model",
        )


def test_a_model_stored_tensor_by_tensor_has_its_config(tmp_path: Path) -> None:
    models = tmp_path / ".ollama" / "models"
    layers = [
        {**_layer(f"sha256:{HEX}", "json"), "name": "config.json"},
        {**_layer("sha256:" + "22" * 32, "tensor", 1000), "name": "model.embed_tokens.weight"},
        {**_layer("sha256:" + "33" * 32, "tensor", 500), "name": "model.norm.weight"},
    ]
    _store(models, "registry.ollama.ai/library/m/mlx", layers)
    (models / "blobs").mkdir()
    (models / "blobs" / f"sha256-{HEX}").write_text('{"model_type": "llama"}')
    found = _resolve("m:mlx", tmp_path)
    assert (found.blob_path, found.config, found.size_bytes) == (None, {"model_type": "llama"}, 1500)


def test_a_model_that_runs_in_a_cloud_is_told_so(tmp_path: Path) -> None:
    answer = {"model_info": {"general.architecture": "x"}, "remote_host": "https://ollama.com:443"}
    with (
        _server(partial(_always, json.dumps(answer).encode())) as (host, _),
        pytest.raises(NotFoundError, match=r"'m:cloud' runs on 'https://ollama.com:443' and not on this"),
    ):
        _resolve("m:cloud", tmp_path, host)
