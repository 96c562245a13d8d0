"""Makes a catalogue entry of a hub repository, a folder or a config.json: facts with where each is from.

Nothing is recalled or guessed: what neither the config nor the hub states stays unknown.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from planner.errors import MalformedError, NotFoundError
from planner.model.network import Network
from planner.quoting import quoted
from planner.readers.byte_source import read_bounded
from planner.readers.config.network import network_from_config
from planner.readers.hub.repository import DEFAULT_OPTIONS, HubOptions, HubRepoInfo, fetch_config, repo_info
from planner.readers.local_json import MAX_JSON_BYTES, parse_json_object
from planner.readers.reference import HubModel, LocalConfig, LocalFolder
from planner.readers.safetensors import read_safetensors
from profiles.loader import packaged_model_rows
from profiles.model_names import name_index

# Stored elements exceed parameters by scales and buffers; beyond this they are packed weights or copies.
_TOLERATED_FRACTION = 0.001
_LONGEST_ID = 96
_LONGEST_NAME = 200
_VIDEO_FIELDS: Final = ("video_token_id", "video_token_index")


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What a person wants a model to be called; None leaves it to the repository or the folder."""

    name: str | None = None
    aliases: tuple[str, ...] = ()
    family: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedEntry:
    """An entry as the catalogue keeps it, and what was odd about the model."""

    entry: Mapping[str, Any]
    notes: tuple[str, ...]


NO_LABEL: Final = Label()
COUNTED: Final = "counted from config"


def entry_from_hub(
    reference: HubModel, *, today: date, label: Label = NO_LABEL, options: HubOptions = DEFAULT_OPTIONS
) -> FetchedEntry:
    """The entry of a hub repository, from its config.json and what the hub says of it.

    Raises ReadError subclasses when it cannot be fetched, UnknownArchitectureError and MissingFactError when
    its config is not understood.
    """
    if reference.filename is not None or reference.quant is not None:
        raise NotFoundError(
            f"the catalogue keeps models by their config.json, not single files; name {reference.repo_id} alone"
        )
    repo_id = reference.repo_id
    info = repo_info(repo_id, reference.revision, options=options)
    paths = {file.path for file in info.files}
    if "config.json" not in paths and any(path.lower().endswith(".gguf") for path in paths):
        raise NotFoundError(
            f"{quoted(repo_id)} holds GGUF files and no config.json: they describe themselves, "
            f"try `planner model {repo_id}`; to add the model, name the repository it was made from"
        )
    # The commit that the facts are from, so that a push between the two requests cannot mix versions.
    config = fetch_config(repo_id, info.commit or reference.revision, options=options)
    network = network_from_config(config)
    stored = sum(info.stored_elements.values()) if info.stored_elements else None
    parameters, odd = _parameters(network, stored, "hub safetensors total")
    entry = _entry(repo_id.rpartition("/")[2], label, config, network, parameters) | {
        "hub_id": repo_id,
        "licence": info.licence,
        "released": None if info.created is None else info.created.isoformat(),
        "family": label.family or _family_of_base(info) or str(config.get("model_type")),
        "sources": _hub_sources(info, reference.revision, parameters, today),
    }
    return FetchedEntry(entry=entry, notes=(*network.notes, *odd))


def entry_from_files(
    reference: LocalFolder | LocalConfig, *, today: date, label: Label = NO_LABEL
) -> FetchedEntry:
    """The entry of a config.json on this machine, with the totals of the safetensors beside it, if any."""
    is_folder = isinstance(reference, LocalFolder)
    file = (reference.path / "config.json" if is_folder else reference.path).absolute()
    data = read_bounded(file, MAX_JSON_BYTES)
    config = parse_json_object(data, quoted(file))
    network = network_from_config(config)
    folder = file.parent
    stored = None
    if is_folder and any(folder.glob("*.safetensors*")):
        stored = sum(tensor.n_elements for tensor in read_safetensors(folder))
    parameters, odd = _parameters(network, stored, "safetensors headers of the folder")
    own_name = folder.resolve().name if is_folder or file.stem == "config" else file.stem
    source = {
        "what": "config",
        "where": str(file),
        "date": today.isoformat(),
        "basis": "file",
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    entry = _entry(own_name, label, config, network, parameters) | {
        "family": label.family or str(config.get("model_type")),
        "sources": [source],
    }
    return FetchedEntry(entry=entry, notes=(*network.notes, *odd))


def _entry(
    own_name: str,
    label: Label,
    config: Mapping[str, Any],
    network: Network,
    parameters: Mapping[str, Any],
) -> dict[str, Any]:
    name = _name(label.name or own_name)
    return {
        "id": model_id(name),
        "name": name,
        "hub_id": None,
        "aliases": list(label.aliases),
        "family": label.family,
        "licence": None,
        "released": None,
        "context_tokens": network.context_tokens,
        "modalities": list(_modalities(config, network)),
        "parameters": dict(parameters),
        "config": dict(config),
        "sources": [],
    }


def model_id(name: str) -> str:
    """The id that a model of this name has in the catalogue: lower case, without spaces."""
    found = re.sub(r"[^a-z0-9.+_]+", "-", name.lower())[:_LONGEST_ID].strip("-._+")
    if not found:
        raise MalformedError(
            f"{quoted(name)} gives no id of Latin letters and digits; choose one with --name"
        )
    return found


def _name(text: str) -> str:
    name = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    if not 0 < len(name) <= _LONGEST_NAME:
        raise MalformedError(
            f"{quoted(text)} is no name of 1 to {_LONGEST_NAME} characters; choose one with --name"
        )
    return name


def _parameters(
    network: Network, stored: int | None, stored_source: str
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The total that the weight files state where it counts parameters, else the one counted from the config."""
    counted = network.parameters
    found = {"total": counted.total, "includes": _includes(network), "text": counted.text}
    own_count = found | ({} if counted.total is None else {"source": COUNTED})
    if stored is None:
        return own_count, ()
    if counted.total is None:  # a tower that the planner cannot count lies between the two
        agrees = stored >= counted.counted
    else:
        agrees = abs(stored / counted.total - 1) <= _TOLERATED_FRACTION
    if agrees:
        return found | {"total": stored, "source": stored_source}, ()
    note = (
        f"the weight files store {stored:,} elements, the config describes {counted.counted:,}: packed quantized "
        "weights, copies, or parts that are not loaded; the entry does not take the former for parameters"
    )
    return own_count, (note,)


def _includes(network: Network) -> str:
    """What the total counts, in the catalogue's words."""
    parts = ["text"]
    if network.mtp:
        parts.append("multi-token-prediction layer")
    parts += [f"{tower.name} tower" for tower in network.towers]
    if network.parameters.copies:
        parts.append("elements stored a second time")
    return " + ".join(parts)


def _modalities(config: Mapping[str, Any], network: Network) -> tuple[str, ...]:
    towers = " ".join(tower.name for tower in network.towers)
    found = ["text"]
    if "vision" in towers or isinstance(config.get("vision_config"), dict):
        found.append("image")
    if any(config.get(field) is not None for field in _VIDEO_FIELDS):
        found.append("video")
    if "audio" in towers or isinstance(config.get("audio_config"), dict):
        found.append("audio")
    return tuple(found)


def _family_of_base(info: HubRepoInfo) -> str | None:
    """The family of a packaged model that the repository says it was made from."""
    if not info.base_models:
        return None
    models = {model["id"]: model for model in packaged_model_rows()}
    index = name_index(models.values())
    known = (index.get(base.casefold()) for base in info.base_models)
    return next((models[id_]["family"] for id_ in known if id_ is not None), None)


def _hub_sources(
    info: HubRepoInfo, revision: str | None, parameters: Mapping[str, Any], today: date
) -> list[dict[str, str]]:
    checked = {"date": today.isoformat()} | ({"revision": info.commit} if info.commit else {})
    config = {"what": "config", "where": f"{info.url}/blob/{info.commit or revision or 'main'}/config.json"}
    facts = {
        "licence": info.licence is not None,
        "released (the day the repository was made)": info.created is not None,
        "parameters.total": parameters.get("source") not in (None, COUNTED),
    }
    stated = [fact for fact, is_known in facts.items() if is_known]
    asked = {"branch": revision} if revision is not None else {}
    sources = [config | checked | asked | {"basis": "file"}]
    if stated:
        sources.append({"what": ", ".join(stated), "where": info.url} | checked | {"basis": "published"})
    return sources
