"""Names and manifests of Ollama's models: which blobs a model consists of, in a folder or in a registry alike.

Names follow types/model/name.go of https://github.com/ollama/ollama, layers its manifest/layer.go: each has a
media type, the SHA-256 of its blob, a size, and for a tensor or a configuration a name.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hardware.units import MIB, format_bytes
from planner.errors import MalformedError, NotFoundError
from planner.quoting import quoted

DEFAULT_HOST = "registry.ollama.ai"
MAX_MANIFEST_BYTES = 8 * MIB  # a model stored tensor by tensor names each of some thousand
_MAX_LAYERS = 65_536
_MEDIA_TYPE = "application/vnd.ollama.image."
_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")
_NAME_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.\-]{0,126}[A-Za-z0-9_])?")
_HOST_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.:\-]{0,126}[A-Za-z0-9_])?")
# What a person should know of besides the weights, and how to say it.
_TOLD = {
    "projector": "a projector (vision or audio)",
    "adapter": "an adapter (LoRA)",
    "draft": "a draft model",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaName:
    """The parts of [HOST/][NAMESPACE/]MODEL[:TAG], with Ollama's defaults filled in."""

    host: str
    namespace: str
    model: str
    tag: str
    given: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaLayer:
    """One blob of a model: `kind` is model, projector, adapter, draft, tensor, json, template, …"""

    kind: str
    digest: str
    size_bytes: int | None
    name: str | None

    @property
    def blob_name(self) -> str:
        """The file name in a folder's blobs."""
        return f"sha256-{self.digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaManifest:
    """What a model consists of, as its manifest says."""

    layers: tuple[OllamaLayer, ...]

    def of(self, kind: str) -> tuple[OllamaLayer, ...]:
        """The layers of one kind, in order."""
        return tuple(layer for layer in self.layers if layer.kind == kind)

    @property
    def config(self) -> OllamaLayer | None:
        """The config.json of a model that is stored as safetensors, tensor by tensor."""
        return next((layer for layer in self.of("json") if layer.name == "config.json"), None)

    @property
    def notes(self) -> tuple[str, ...]:
        """What loads beside the weights, a line each."""
        return tuple(
            f"Ollama loads {_TOLD[layer.kind]} beside the model"
            + (f": {format_bytes(layer.size_bytes)}" if layer.size_bytes is not None else "")
            for layer in self.layers
            if layer.kind in _TOLD
        )


def parse_ollama_name(name: str) -> OllamaName:
    """The parts of a name that `ollama run` takes; raises NotFoundError for what cannot be one."""
    given = name.removeprefix("ollama:")
    path, colon, tag = given.rpartition(":")
    if not colon or "/" in tag:  # HOST:PORT/MODEL has a colon, but no tag
        path, tag = given, "latest"
    segments = path.split("/")
    defaults = [DEFAULT_HOST, "library"]
    host, namespace, model = [*defaults[: max(0, 3 - len(segments))], *segments][-3:]
    parts = ((host, _HOST_PART), (namespace, _NAME_PART), (model, _NAME_PART), (tag, _NAME_PART))
    if len(segments) > 3 or ".." in given or not all(pattern.fullmatch(part) for part, pattern in parts):
        raise NotFoundError(f"{quoted(given)} is not a name of an Ollama model; write NAME or NAME:TAG")
    return OllamaName(host=host, namespace=namespace, model=model, tag=tag, given=given)


def parse_manifest(manifest: Mapping[str, Any], where: str) -> OllamaManifest:
    """The layers of a manifest; `where` stands in messages, already quoted."""
    rows = manifest.get("layers")
    if not isinstance(rows, list):
        raise MalformedError(f"{where} is not an Ollama manifest: it lists no layers")
    if len(rows) > _MAX_LAYERS:
        raise MalformedError(f"{where} lists {len(rows):,} layers; at most {_MAX_LAYERS:,} are read")
    layers = []
    for row in rows:
        media_type = row.get("mediaType") if isinstance(row, dict) else None
        if not isinstance(media_type, str) or not media_type.startswith(_MEDIA_TYPE):
            continue
        # A digest becomes part of a path or an address, so nothing but a digest is let through.
        digest, size, name = str(row.get("digest")), row.get("size"), row.get("name")
        match = _DIGEST.fullmatch(digest)
        if match is None:
            raise MalformedError(f"{where} has the digest {quoted(digest)}; sha256 is expected")
        layers.append(
            OllamaLayer(
                kind=media_type.removeprefix(_MEDIA_TYPE),
                digest=match[1],
                size_bytes=size if type(size) is int and 0 <= size < 2**63 else None,
                name=name if isinstance(name, str) else None,
            )
        )
    return OllamaManifest(layers=tuple(layers))
