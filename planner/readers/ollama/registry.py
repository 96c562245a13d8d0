"""Ollama models that were never pulled: the manifest and the GGUF header, straight from their registry.

The registry speaks the Docker registry protocol (server/internal/client/ollama/registry.go of
https://github.com/ollama/ollama): a manifest under /v2/NAMESPACE/MODEL/manifests/TAG names blobs, and
/v2/NAMESPACE/MODEL/blobs/DIGEST redirects to where a blob lies. hf.co answers in the same way.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from hardware.units import format_bytes
from planner.errors import AccessError, MalformedError, NotFoundError, ReadError, UnreachableError
from planner.quoting import quoted
from planner.readers.byte_source import ByteSource
from planner.readers.gguf.cursor import FRONT_BYTES
from planner.readers.gguf.file import GgufFile, parse_gguf_parts
from planner.readers.hub.repository import DEFAULT_OPTIONS, HubOptions
from planner.readers.local_json import MAX_JSON_BYTES, parse_json_object
from planner.readers.ollama.manifest import (
    MAX_MANIFEST_BYTES,
    OllamaLayer,
    OllamaManifest,
    OllamaName,
    parse_manifest,
    parse_ollama_name,
)
from planner.readers.web.http_range import FileWords, RangeReader, is_local
from planner.readers.web.url_source import url_errors

_HEADERS = {
    "User-Agent": "llm-capacity-planner",
    "Accept": "application/vnd.docker.distribution.manifest.v2+json, */*",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaRegistryModel:
    """A model of a registry: the header of its GGUF, or the config.json of one stored tensor by tensor."""

    name: str
    tag: str
    manifest: OllamaManifest
    gguf: GgufFile | None
    config: Mapping[str, Any] | None

    @property
    def size_bytes(self) -> int | None:
        """Bytes of the weights, without projector and adapters; None if the manifest does not say."""
        sizes = [layer.size_bytes for kind in ("model", "tensor") for layer in self.manifest.of(kind)]
        return None if None in sizes else sum(size for size in sizes if size is not None)


def read_ollama_registry(
    name: str, *, options: HubOptions = DEFAULT_OPTIONS, base_url: str | None = None
) -> OllamaRegistryModel:
    """A model by the name that `ollama pull` takes; of its weights only the header is fetched.

    `base_url` replaces https://HOST of the name. Plain http is used for a registry on this machine alone.
    """
    parsed = parse_ollama_name(name)
    base = base_url or _base_url(parsed.host)
    path = f"{base}/v2/{parsed.namespace}/{parsed.model}"
    url = f"{path}/manifests/{parsed.tag}"
    reader = _reader(url, _words(parsed, "the manifest", options), options)
    where = quoted(f"ollama:{parsed.given}")
    manifest = parse_manifest(
        parse_json_object(reader.whole(MAX_MANIFEST_BYTES), f"the manifest of {where}"), where
    )
    models = manifest.of("model")
    config = None
    if not models:
        if manifest.config is None:
            raise NotFoundError(
                f"{where} has no weights in its manifest: it runs in a cloud, or is stored in a way the planner "
                "does not know; name a hub repository instead"
            )
        words = _words(parsed, "config.json", options)
        blob = _reader(f"{path}/blobs/sha256:{manifest.config.digest}", words, options).whole(MAX_JSON_BYTES)
        config = parse_json_object(blob, f"config.json of {where}")
    sources = [_blob_source(path, layer, parsed, options) for layer in models]
    return OllamaRegistryModel(
        name=parsed.model,
        tag=parsed.tag,
        manifest=manifest,
        gguf=parse_gguf_parts(sources) if sources else None,
        config=config,
    )


def _base_url(host: str) -> str:
    https = f"https://{host}"
    return f"http://{host}" if is_local(https) else https


def _blob_source(path: str, layer: OllamaLayer, name: OllamaName, options: HubOptions) -> ByteSource:
    reader = _reader(f"{path}/blobs/sha256:{layer.digest}", _words(name, "the weights", options), options)
    n_bytes = reader.size(FRONT_BYTES)
    if layer.size_bytes not in (None, n_bytes):
        raise MalformedError(
            f"the weights of {quoted(name.given)} have {format_bytes(n_bytes)}, their manifest says "
            f"{format_bytes(layer.size_bytes or 0)}; try again later"
        )
    return ByteSource(name=f"ollama:{name.given}", n_bytes=n_bytes, read=reader.read)


def _reader(url: str, words: FileWords, options: HubOptions) -> RangeReader:
    return RangeReader(url, words, timeout_s=options.timeout_s, headers=_HEADERS, progress=options.progress)


def _words(name: OllamaName, what: str, options: HubOptions) -> FileWords:
    file = f"{what} of {quoted(f'ollama:{name.given}')}"

    def errors(host: str) -> AbstractContextManager[None]:
        return url_errors(file, host, options.timeout_s)

    def status_error(status: int, host: str) -> ReadError:
        if status == 404:
            return NotFoundError(
                f"{host} has no such model or blob: {file} (HTTP 404); look for models on https://ollama.com/library"
            )
        if status in (401, 403):
            return AccessError(
                f"{host} refused {file} (HTTP {status}): it is private or gated; pull it with Ollama"
            )
        return UnreachableError(f"{host} answered HTTP {status} for {file}; try again later")

    return FileWords(file=file, errors=errors, status_error=status_error)
