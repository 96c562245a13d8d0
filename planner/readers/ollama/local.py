"""Models that Ollama has: from its folder on this machine, else from a running server.

The folder holds a manifest per model and the GGUF itself as a blob, which `read_gguf` reads. A server is asked
through POST /api/show (https://github.com/ollama/ollama/blob/main/docs/api.md); it answers with the GGUF's
metadata and tensor table. Nothing is pulled.
"""

import json
import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hardware.units import KIB, MIB, format_bytes
from planner.errors import AccessError, MalformedError, NotFoundError, ReadError, UnreachableError
from planner.quoting import quoted
from planner.readers.gguf.header import MAX_DIMENSIONS, MAX_TENSORS
from planner.readers.local_json import parse_json_object, read_json_object
from planner.readers.ollama.manifest import MAX_MANIFEST_BYTES, OllamaName, parse_manifest, parse_ollama_name

if TYPE_CHECKING:  # urllib.request takes longer to import than most commands take to run
    from http.client import HTTPResponse
    from urllib.request import BaseHandler, OpenerDirector

DEFAULT_TIMEOUT_S = 3.0
_MAX_ANSWER_BYTES = 32 * MIB
_SYSTEM_MODELS = Path("/usr/share/ollama/.ollama/models")  # the home of the service's own user on Linux
# A vocabulary in an answer, of a million values that change no size. Quantifiers that never give back: no pattern
# of brackets makes this slow.
_VOCABULARY = re.compile(
    rb'("tokenizer\.[a-z_.]++"\s*+:\s*+)\[(?:[^"\[\]]++|"(?:[^"\\]++|\\.)*+")*+\]', re.DOTALL
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaTensor:
    """A row of the tensor table as the server tells it; `shape` is in ggml's order (row length first)."""

    name: str
    type_name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaModel:
    """What is known of one of Ollama's models.

    `blob_path` is the GGUF on this machine, if it is here; then nothing else was asked. `config` is the config.json
    of a model that is stored tensor by tensor. Otherwise `model_info` (GGUF metadata; long arrays may be None),
    `tensors` and `details` are what the server answered. `notes` say what is loaded beside the weights.
    """

    name: str
    tag: str
    blob_path: Path | None
    projector_path: Path | None
    model_info: Mapping[str, Any] | None
    tensors: tuple[OllamaTensor, ...] | None
    details: Mapping[str, Any]
    size_bytes: int | None
    adapter_paths: tuple[Path, ...] = ()
    config: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()


def resolve_ollama(
    name: str,
    env: Mapping[str, str],
    home: Path,
    opener: "OpenerDirector | None" = None,
    *,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    system_models: Path = _SYSTEM_MODELS,
) -> OllamaModel:
    """Find a model by the name that `ollama run` takes; `env` may hold OLLAMA_HOST and OLLAMA_MODELS.

    Raises NotFoundError when neither the folders nor the server have it, UnreachableError when it is not in the
    folders and no server answers within `timeout_s`.
    """
    parsed = parse_ollama_name(name)
    folders = _model_folders(env, home, system_models)
    for folder in folders:
        found = _from_folder(parsed, folder)
        if found is not None:
            return found
    url = server_url(env)
    try:
        return _from_server(parsed, url, opener or _default_opener(url), timeout_s)
    except UnreachableError as error:
        raise UnreachableError(
            f"Ollama's model {quoted(parsed.given)} is not in {quoted(folders[0])}, and {error}"
        ) from error


def server_url(env: Mapping[str, str]) -> str:
    """The server's address from OLLAMA_HOST, read the way Ollama reads it; by default this machine's."""
    text = env.get("OLLAMA_HOST", "").strip().strip("\"'").strip()
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "http", text
    port = {"http": 80, "https": 443}.get(scheme, 11434) if separator else 11434
    try:
        bare = rest.strip("[]/")
        if re.fullmatch(r"[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*", bare):  # an IPv6 address alone
            return f"{scheme}://[{bare}]:{port}"
        parts = urlsplit(f"//{rest}")
        host, given_port = parts.hostname or "127.0.0.1", parts.port
    except ValueError as error:
        raise UnreachableError(
            f"OLLAMA_HOST is {quoted(text)}; write HOST:PORT, for example 127.0.0.1:11434"
        ) from error
    # urlsplit drops line breaks without a word, so they are looked for in the text.
    if (
        not text.isprintable()
        or scheme not in ("http", "https")
        or not re.fullmatch(r"[A-Za-z0-9_.:\-]+", host)
    ):
        raise UnreachableError(f"OLLAMA_HOST is {quoted(text)}; write HOST:PORT, for example 127.0.0.1:11434")
    shown_host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown_host}:{port if given_port is None else given_port}{parts.path.rstrip('/')}"


def _model_folders(env: Mapping[str, str], home: Path, system_models: Path) -> list[Path]:
    """Where manifests and blobs may lie; OLLAMA_MODELS replaces the user's own folder."""
    chosen = env.get("OLLAMA_MODELS", "").strip().strip("\"'")
    return [Path(chosen) if chosen else home / ".ollama" / "models", system_models]


def _from_folder(name: OllamaName, folder: Path) -> OllamaModel | None:
    """The model in one folder; None if its manifest or its weights are not there, or may not be read."""
    manifest_path = folder / "manifests" / name.host / name.namespace / name.model / name.tag
    try:
        manifest = parse_manifest(read_json_object(manifest_path, MAX_MANIFEST_BYTES), quoted(manifest_path))
    except (NotFoundError, AccessError):  # the service's folder often belongs to another user: ask the server
        return None

    def blobs(kind: str) -> tuple[Path, ...]:
        paths = (folder / "blobs" / layer.blob_name for layer in manifest.of(kind))
        return tuple(path for path in paths if path.is_file())

    models, config = blobs("model"), None
    if not models and manifest.config is not None:
        config_path = folder / "blobs" / manifest.config.blob_name
        config = read_json_object(config_path) if config_path.is_file() else None
    if not models and config is None:
        return None
    sizes = [layer.size_bytes for layer in (*manifest.of("model"), *manifest.of("tensor"))]
    return OllamaModel(
        name=name.model,
        tag=name.tag,
        blob_path=models[0] if models else None,
        projector_path=next(iter(blobs("projector")), None),
        adapter_paths=blobs("adapter"),
        config=config,
        model_info=None,
        tensors=None,
        details={},
        size_bytes=None if None in sizes else sum(size for size in sizes if size is not None),
        notes=manifest.notes,
    )


def _default_opener(url: str) -> "OpenerDirector":
    """An opener that follows no redirects and, for this machine, uses no proxy."""
    from urllib.request import HTTPRedirectHandler, ProxyHandler, build_opener

    class NoRedirects(HTTPRedirectHandler):
        """Leaves a redirect as the error it is here: an Ollama server answers itself."""

        def redirect_request(self, *_: object, **__: object) -> None:
            return None

    is_local = urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1", "0.0.0.0")  # noqa: S104  only compared
    handlers: list[BaseHandler] = [NoRedirects()]
    if is_local:
        handlers.append(ProxyHandler({}))
    return build_opener(*handlers)


def _from_server(name: OllamaName, url: str, opener: "OpenerDirector", timeout_s: float) -> OllamaModel:
    answer = _show(name, url, opener, timeout_s, verbose=False)
    info = answer.get("model_info")
    if isinstance(info, dict) and any(_is_left_out(key, value) for key, value in info.items()):
        # A short answer leaves out per-layer arrays; the long one also has the vocabulary, so it is second.
        answer = _show(name, url, opener, timeout_s, verbose=True)
        info = answer.get("model_info")
    remote = answer.get("remote_host")
    if isinstance(remote, str) and remote:
        raise NotFoundError(
            f"{quoted(name.given)} runs on {quoted(remote)} and not on this machine; its weights are not known here, "
            "name a hub repository instead"
        )
    if not isinstance(info, dict) or not info:
        raise MalformedError(
            f"the Ollama server at {url} tells no architecture of {quoted(name.given)}; "
            "it is not a GGUF model, or the server is too old"
        )
    if not all(_fits_gguf(value) for value in info.values()):
        raise MalformedError(
            f"the Ollama server at {url} tells a number of {quoted(name.given)} that no GGUF can hold"
        )
    details = answer.get("details")
    return OllamaModel(
        name=name.model,
        tag=name.tag,
        blob_path=None,
        projector_path=None,
        model_info=info,
        tensors=_tensors(answer.get("tensors"), url),
        details=details if isinstance(details, dict) else {},
        size_bytes=None,
        notes=_server_notes(answer),
    )


def _fits_gguf(value: object) -> bool:
    """Whether all numbers in a value are ones that a GGUF can hold, as what comes of them is then printable."""
    if isinstance(value, list):
        return all(_fits_gguf(item) for item in value)
    return type(value) is not int or -(2**63) <= value < 2**64


def _server_notes(answer: Mapping[str, Any]) -> tuple[str, ...]:
    if not answer.get("projector_info"):
        return ()
    return ("Ollama loads a projector (vision or audio) beside the model",)


def _is_left_out(key: str, value: object) -> bool:
    return not key.startswith("tokenizer.") and (value is None or value == [])


def _tensors(rows: object, url: str) -> tuple[OllamaTensor, ...] | None:
    """The tensor table of an answer; None from servers that send none."""
    if not rows:
        return None
    if isinstance(rows, list) and len(rows) > MAX_TENSORS:
        raise MalformedError(
            f"the Ollama server at {url} tells {len(rows):,} tensors; at most {MAX_TENSORS:,} are read"
        )
    tensors = []
    for row in rows if isinstance(rows, list) else [rows]:
        fields = row if isinstance(row, dict) else {}
        name, type_name, shape = fields.get("name"), fields.get("type"), fields.get("shape")
        # What a GGUF can hold: at most four dimensions, and a number of elements below 2**63.
        is_shape = (
            isinstance(shape, list)
            and len(shape) <= MAX_DIMENSIONS
            and all(type(size) is int and 0 < size < 2**63 for size in shape)
            and math.prod(shape) < 2**63
        )
        if (
            not isinstance(name, str)
            or not isinstance(type_name, str)
            or not isinstance(shape, list)
            or not is_shape
        ):
            raise MalformedError(f"the Ollama server at {url} describes a tensor as {quoted(row)}")
        tensors.append(OllamaTensor(name=name, type_name=type_name, shape=tuple(shape) or (1,)))
    return tuple(tensors)


def _show(
    name: OllamaName, url: str, opener: "OpenerDirector", timeout_s: float, *, verbose: bool
) -> dict[str, Any]:
    import http.client
    import urllib.error
    import urllib.request

    body = json.dumps({"model": name.given, "verbose": verbose}).encode()
    # The scheme was checked to be http or https where the address was read.
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/api/show", data=body, headers=headers)  # noqa: S310
    try:
        with opener.open(request, timeout=timeout_s) as response:
            data = b"".join(_pieces(response, url, timeout_s))
    except urllib.error.HTTPError as error:
        with error:
            raise _status_error(error.code, name, url) from error
    except TimeoutError as error:
        raise _timed_out(url, timeout_s) from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise _timed_out(url, timeout_s) from error
        reason = error.reason.strerror if isinstance(error.reason, OSError) else error.reason
        raise UnreachableError(
            f"no Ollama server answers at {url} ({reason}); start it with: ollama serve"
        ) from error
    except (http.client.HTTPException, OSError) as error:
        raise UnreachableError(
            f"the server at {url} broke off its answer ({type(error).__name__})"
        ) from error
    return parse_json_object(_VOCABULARY.sub(rb"\1null", data), f"the answer of {url}")


def _pieces(response: "HTTPResponse", url: str, timeout_s: float) -> Iterator[bytes]:
    """The answer piece by piece, bounded in size and, against a dripping server, in time."""
    started, n_bytes = time.monotonic(), 0
    while piece := response.read1(64 * KIB):
        n_bytes += len(piece)
        if n_bytes > _MAX_ANSWER_BYTES:
            raise MalformedError(
                f"{url} answered more than {format_bytes(_MAX_ANSWER_BYTES)}; is it an Ollama server?"
            )
        if time.monotonic() - started > 10 * timeout_s:
            raise _timed_out(url, 10 * timeout_s)
        yield piece


def _status_error(status: int, name: OllamaName, url: str) -> ReadError:
    if status == 404:
        return NotFoundError(
            f"Ollama at {url} has no model {quoted(name.given)}; get it with: ollama pull {name.given}"
        )
    if status in (401, 403):
        return AccessError(f"the server at {url} refused to show {quoted(name.given)} (HTTP {status})")
    return UnreachableError(f"the server at {url} answered HTTP {status}; is it an Ollama server?")


def _timed_out(url: str, timeout_s: float) -> UnreachableError:
    return UnreachableError(f"the Ollama server at {url} did not answer within {timeout_s:g} s; restart it")
