"""Opens whatever a person names as a model: which reader, what it found, and where sources disagree."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hardware.units import MIB, format_bytes
from planner.errors import (
    MalformedError,
    NotFoundError,
    ReadError,
    UnknownArchitectureError,
    UnreachableError,
)
from planner.model.ggml_types import type_by_name
from planner.model.label_audit import audit_label
from planner.model.opened_model import OpenedModel
from planner.quoting import quoted
from planner.readers.assumptions import NOTHING_ASSUMED, Assumptions
from planner.readers.catalogue_model import from_catalogue, native_preset
from planner.readers.config.network import network_from_config
from planner.readers.config.quantization import SIDE_FILES
from planner.readers.gguf.file import GgufFile, GgufTensor, read_gguf, split_part_names
from planner.readers.gguf.network import network_from_gguf, storage_from_gguf
from planner.readers.gguf.projector import is_projector_name, read_projector, with_projector
from planner.readers.hub.gguf_files import choose_gguf, gguf_files, read_hub_gguf
from planner.readers.hub.repository import DEFAULT_OPTIONS, HubOptions, fetch_config, fetch_json, repo_info
from planner.readers.local_json import read_json_object
from planner.readers.ollama.local import OllamaModel, resolve_ollama
from planner.readers.ollama.registry import read_ollama_registry
from planner.readers.published_weights import published_weights, stored_claim
from planner.readers.reference import (
    CatalogueName,
    HubModel,
    LocalConfig,
    LocalFolder,
    LocalGguf,
    OllamaReference,
    UrlConfig,
    UrlGguf,
    parse_reference,
)
from planner.readers.safetensors import read_safetensors
from planner.readers.source_facts import facts_of_config, facts_of_gguf
from planner.readers.web.url_model import read_url_checkpoint, read_url_gguf
from planner.readers.web.url_source import url_label
from profiles.loader import model_entry, model_rows

MAX_SIDE_FILE_BYTES = 4 * MIB
_MAX_BESIDE = 200  # files of a folder looked at for a projector


def open_model(
    text: str, *, options: HubOptions = DEFAULT_OPTIONS, assumptions: Assumptions = NOTHING_ASSUMED
) -> OpenedModel:
    """The model that `text` names, unknown parts read as assumed.

    Raises ReadError subclasses when it cannot be read, UnknownArchitectureError when not understood, and
    ProfileError for a name that the catalogue does not have.
    """
    reference = parse_reference(text)
    match reference:
        case LocalGguf(path=path):
            opened = from_gguf(read_gguf(path), text, source="GGUF file", path=path, assumptions=assumptions)
            return _with_local_projector(opened, path)
        case LocalFolder(path=path):
            return _from_folder(path, text, assumptions)
        case LocalConfig(path=path):
            config = read_json_object(path)
            return _from_config(config, text, path.stem, source="config.json", assumptions=assumptions)
        case HubModel():
            return _from_hub_or_catalogue(reference, text, options, assumptions)
        case UrlGguf(url=url):
            file = read_url_gguf(url, options=options)
            return from_gguf(file, text, source="GGUF at a web address", assumptions=assumptions)
        case UrlConfig(url=url):
            return _from_url(url, text, options, assumptions)
        case OllamaReference(name=name):
            return _from_ollama(name, text, options, assumptions)
        case CatalogueName(name=name):
            return published_from_catalogue(model_entry(name), text, assumptions)


def from_gguf(
    file: GgufFile,
    text: str,
    *,
    source: str,
    path: Path | None = None,
    assumptions: Assumptions = NOTHING_ASSUMED,
) -> OpenedModel:
    """A model from a GGUF header, wherever it lies."""
    network = network_from_gguf(file, assumptions)
    storage = storage_from_gguf(file, network)
    licence = file.metadata.get("general.license")
    return OpenedModel(
        reference=text,
        name=Path(file.path).stem,  # general.name is often the trainer's own label
        source=source,
        network=network,
        storage=storage,
        audit=audit_label(storage, network, file_name=Path(file.path).name, metadata=file.metadata),
        path=path,
        fingerprint=file.fingerprint,
        header_bytes=file.header_bytes,
        n_files=file.n_parts,
        licence=licence if isinstance(licence, str) else None,
        facts=facts_of_gguf(file.metadata),
        notes=network.notes,
    )


def _with_local_projector(opened: OpenedModel, path: Path) -> OpenedModel:
    """Adds the towers of the one projector file beside a model, the only other GGUF in its folder."""
    parts = set(split_part_names(path.name) or (path.name,))
    others = [found for found in sorted(path.parent.glob("*.gguf"))[:_MAX_BESIDE] if found.name not in parts]
    projectors = [found for found in others if is_projector_name(found.name)]
    if len(projectors) != 1 or len(others) != 1:
        return opened
    beside = projectors[0]
    try:
        projector = read_projector(read_gguf(beside))
        network = with_projector(opened.network, projector)
    except (ReadError, UnknownArchitectureError) as error:
        return replace(opened, notes=(*opened.notes, f"the projector beside it was not taken: {error}"))
    note = (
        f"{quoted(beside.name)} beside it, {format_bytes(projector.n_bytes)}, is loaded with --mmproj only; it is in "
        "the parameters here, and in no estimate of memory"
    )
    return replace(opened, network=network, notes=(*opened.notes, note))


def _from_config(
    config: Mapping[str, Any],
    text: str,
    name: str,
    *,
    source: str,
    assumptions: Assumptions,
    side_files: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> OpenedModel:
    network = network_from_config(config, assumptions)
    published, notes = published_weights(config, network, side_files)
    return OpenedModel(
        reference=text,
        name=name,
        source=source,
        network=network,
        native_preset=native_preset(config),
        published=published,
        facts=facts_of_config(config),
        notes=(*network.notes, *notes),
    )


def _from_folder(folder: Path, text: str, assumptions: Assumptions) -> OpenedModel:
    if not (folder / "config.json").exists():
        gguf = [path for path in sorted(folder.glob("*.gguf")) if not is_projector_name(path.name)]
        first = {(split_part_names(path.name) or (path.name,))[0] for path in gguf}
        if len(first) == 1:
            opened = from_gguf(
                read_gguf(gguf[0]), text, source="GGUF file", path=gguf[0], assumptions=assumptions
            )
            return _with_local_projector(opened, gguf[0])
        hint = f"; it has {len(gguf)} GGUF files: name one of them" if gguf else ""
        raise NotFoundError(f"{quoted(folder)} has no config.json{hint}")
    opened = _from_config(
        read_json_object(folder / "config.json"),
        text,
        folder.resolve().name,
        source="folder with config.json",
        assumptions=assumptions,
        side_files={name: read_json_object(folder / name) for name in SIDE_FILES if (folder / name).exists()},
    )
    if not any(folder.glob("*.safetensors*")):
        return opened
    tensors = read_safetensors(folder)
    elements = sum(_elements(tensor.shape) for tensor in tensors)
    return _with_stored(opened, elements, sum(tensor.n_bytes for tensor in tensors))


def _elements(shape: tuple[int, ...]) -> int:
    n = 1
    for size in shape:
        n *= size
    return n


def _with_stored(
    opened: OpenedModel, elements: int, n_bytes: int | None, source: str = "safetensors headers"
) -> OpenedModel:
    """Adds what the weight files say, and the claim that it is what the config amounts to."""
    claim = stored_claim(opened.published, opened.network, elements, source)
    notes = opened.notes
    if claim.agrees is False:
        notes = (
            *notes,
            f"the {source} give {claim.claimed} elements, the config {claim.found}: {claim.note}",
        )
    return replace(
        opened,
        stored_elements=elements,
        stored_bytes=n_bytes,
        claims=(*opened.claims, claim),
        notes=notes,
    )


def _from_hub(reference: HubModel, text: str, options: HubOptions, assumptions: Assumptions) -> OpenedModel:
    repo_id, revision = reference.repo_id, reference.revision
    if reference.filename is None and reference.quant is None:
        info = repo_info(repo_id, revision, options=options)
        ggufs = [found for found in gguf_files(info.files) if not found.is_projector]
        if not ggufs or any(file.path == "config.json" for file in info.files):
            opened = _from_config(
                fetch_config(repo_id, revision, options=options),
                text,
                repo_id,
                source="hub repository",
                assumptions=assumptions,
                side_files={
                    name: fetch_json(repo_id, name, revision, options=options, max_bytes=MAX_SIDE_FILE_BYTES)
                    for name in SIDE_FILES
                    if any(file.path == name for file in info.files)
                },
            )
            if info.stored_elements:
                return _with_stored(opened, sum(info.stored_elements.values()), None, "hub's count")
            return opened
        files = info.files
    else:
        files = repo_info(repo_id, revision, options=options).files
    chosen = choose_gguf(repo_id, files, filename=reference.filename, quant=reference.quant)
    opened = from_gguf(
        read_hub_gguf(repo_id, chosen.name, revision, options=options),
        text,
        source=f"hub repository, {chosen.name}",
        assumptions=assumptions,
    )
    projectors = [found for found in gguf_files(files) if found.is_projector and not chosen.is_projector]
    if not projectors:
        return opened
    names = ", ".join(quoted(found.name) for found in projectors[:3])
    note = f"the repository has projectors for --mmproj ({names}); they are in no figure here"
    return replace(opened, notes=(*opened.notes, note))


def _from_url(url: str, text: str, options: HubOptions, assumptions: Assumptions) -> OpenedModel:
    found = read_url_checkpoint(url, options=options)
    label = url_label(url)
    opened = _from_config(
        found.config, text, label, source="config.json at a web address", assumptions=assumptions
    )
    if found.tensors is None:
        return opened
    elements = sum(_elements(tensor.shape) for tensor in found.tensors)
    return _with_stored(opened, elements, sum(tensor.n_bytes for tensor in found.tensors))


def _from_ollama(name: str, text: str, options: HubOptions, assumptions: Assumptions) -> OpenedModel:
    """From Ollama's folder or server; a model that was not pulled, from its registry."""
    try:
        found = resolve_ollama(name, os.environ, Path.home())
    except (NotFoundError, UnreachableError) as error:
        try:
            far = read_ollama_registry(name, options=options)
        except UnreachableError as unreachable:
            raise UnreachableError(f"{error}; nor does its registry answer: {unreachable}") from unreachable
        source, notes = "Ollama's registry", far.manifest.notes
        if far.config is not None:
            opened = _from_config(far.config, text, name, source=source, assumptions=assumptions)
        else:
            assert far.gguf is not None
            opened = from_gguf(far.gguf, text, source=source, assumptions=assumptions)
    else:
        notes = found.notes
        if found.blob_path is not None:
            opened = from_gguf(
                read_gguf(found.blob_path),
                text,
                source="Ollama's folder",
                path=found.blob_path,
                assumptions=assumptions,
            )
        elif found.config is not None:
            opened = _from_config(found.config, text, name, source="Ollama's folder", assumptions=assumptions)
        else:
            opened = from_gguf(told_gguf(found), text, source="Ollama's server", assumptions=assumptions)
    return replace(opened, notes=(*opened.notes, *notes))


def told_gguf(found: OllamaModel) -> GgufFile:
    """The header as an Ollama server tells it; offsets are unknown, so tensors are laid one after another."""
    if found.model_info is None or found.tensors is None:
        raise MalformedError(
            f"the Ollama server told no tensor table for {quoted(found.name)}; update Ollama, or name the GGUF file"
        )
    tensors = []
    offset = 0
    for told in found.tensors:
        ggml_type = type_by_name(told.type_name)
        n = _elements(told.shape)
        n_bytes = n // ggml_type.block_elements * ggml_type.block_bytes
        tensors.append(
            GgufTensor(name=told.name, shape=told.shape, type_id=ggml_type.id, type_name=ggml_type.name,
                       n_elements=n, n_bytes=n_bytes, offset=offset, part=1)
        )  # fmt: skip
        offset += n_bytes
    metadata = {
        key: tuple(value) if isinstance(value, list) else value for key, value in found.model_info.items()
    }
    return GgufFile(
        path=f"ollama:{found.name}",
        version=3,
        metadata=metadata,
        tensors=tuple(tensors),
        header_bytes=0,
        file_bytes=found.size_bytes or offset,
        alignment=32,
        n_parts=1,
        fingerprint=f"ollama:{found.name}:{found.tag}",
    )


def _from_hub_or_catalogue(
    reference: HubModel, text: str, options: HubOptions, assumptions: Assumptions
) -> OpenedModel:
    """From the hub; without a network, from the catalogue where it has the very repository."""
    try:
        return _from_hub(reference, text, options, assumptions)
    except UnreachableError as error:
        whole = reference.revision is None and reference.filename is None and reference.quant is None
        entries = [row for row in model_rows() if whole and row["hub_id"] == reference.repo_id]
        if not entries:
            raise
        opened = published_from_catalogue(entries[0], text, assumptions)
        return replace(opened, notes=(*opened.notes, f"read from the catalogue, because {error}"))


def published_from_catalogue(
    entry: Mapping[str, Any], text: str, assumptions: Assumptions = NOTHING_ASSUMED
) -> OpenedModel:
    """A model from a catalogue entry with its weights as the repository stores them, by the entry's config."""
    opened = from_catalogue(entry, text, assumptions)
    published, notes = published_weights(entry["config"], opened.network)
    return replace(opened, published=published, notes=(*opened.notes, *notes))
