"""A model with its card: opens it, reads the README.md beside it, and holds all claims against what was found.

Only `planner model` asks for this: it costs some requests more than the network alone. A card that is
missing, gated or malformed is told in a note; the model is shown all the same.
"""

from dataclasses import replace
from pathlib import Path

from hardware.units import format_count
from planner.errors import AccessError, MissingFactError, ReadError, UnknownArchitectureError
from planner.model.card import Card
from planner.model.claims import Claim, card_claims, name_claims, network_claims
from planner.model.opened_model import OpenedModel
from planner.quoting import quoted
from planner.readers.assumptions import NOTHING_ASSUMED, Assumptions
from planner.readers.card.model_card import (
    CARD_FILE,
    EVAL_FOLDER,
    MAX_CARD_BYTES,
    MAX_EVAL_BYTES,
    MAX_EVAL_FILES,
    parse_card,
    read_card,
)
from planner.readers.card.names import sizes_in_name
from planner.readers.catalogue_model import CATALOGUE
from planner.readers.config.network import network_from_config
from planner.readers.gguf.file import read_gguf
from planner.readers.gguf.network import network_from_gguf
from planner.readers.gguf.projector import is_projector_name
from planner.readers.hub.repository import (
    DEFAULT_OPTIONS,
    HubOptions,
    HubRepoInfo,
    fetch_config,
    fetch_file,
    repo_info,
)
from planner.readers.local_json import read_json_object
from planner.readers.open_model import open_model
from planner.readers.reference import HubModel, LocalFolder, LocalGguf, parse_reference
from profiles.loader import model_rows

_GGUF = "GGUF header"
_MAX_FOLDER = 200  # files of a folder looked through for another description of the model


def open_with_card(
    text: str, *, options: HubOptions = DEFAULT_OPTIONS, assumptions: Assumptions = NOTHING_ASSUMED
) -> OpenedModel:
    """The model that `text` names, with its card and every claim that could be checked.

    Raises what `open_model` raises; for a gated repository the message also says what is public.
    """
    reference = parse_reference(text)
    try:
        opened = open_model(text, options=options, assumptions=assumptions)
    except AccessError as error:
        if not isinstance(reference, HubModel):
            raise
        raise AccessError(f"{error}{_what_still_works(reference, options)}") from error
    claims: tuple[Claim, ...] = ()
    match reference:
        case HubModel() if opened.source != CATALOGUE:  # which stands in where the hub cannot be reached
            opened, claims = _with_hub_card(opened, reference, options, assumptions)
        case LocalFolder(path=path):
            opened, claims = _with_folder_card(opened, path, assumptions)
        case LocalGguf(path=path) if _is_alone(path):
            opened, claims = _with_folder_card(opened, path.parent, assumptions)
    return replace(opened, claims=(*_own_claims(opened), *opened.claims, *claims))


def _own_claims(opened: OpenedModel) -> tuple[Claim, ...]:
    """Claims of the name, of the file's own size label, and of the card."""
    sizes = sizes_in_name(opened.name)
    label = opened.facts.size_label if opened.facts is not None else None
    claims = name_claims(sizes, opened.network)
    if label is not None:
        labelled = sizes_in_name(label)
        claims += name_claims(
            [s for s in labelled if s not in sizes], opened.network, "GGUF header, size label"
        )
    if opened.card is not None:
        claims += card_claims(opened.card, opened.network, opened.facts, sizes)
    return claims


def _with_hub_card(
    opened: OpenedModel, reference: HubModel, options: HubOptions, assumptions: Assumptions
) -> tuple[OpenedModel, tuple[Claim, ...]]:
    repo_id, revision = reference.repo_id, reference.revision
    try:
        info = repo_info(repo_id, revision, options=options)
    except ReadError as error:  # offline, with the config in the cache
        return _noted(opened, f"no card was read: {error}"), ()
    paths = {file.path for file in info.files}
    problems = []
    data = b""
    if CARD_FILE in paths:
        try:
            data = fetch_file(repo_id, CARD_FILE, revision, options=options, max_bytes=MAX_CARD_BYTES)
        except ReadError as error:
            problems.append(str(error))
    elif not info.card_metadata:
        opened = _noted(opened, f"{quoted(repo_id)} has no {CARD_FILE}: what its makers claim is unknown")
    results = {}
    folder = f"{EVAL_FOLDER}/"
    files = sorted(path for path in paths if path.startswith(folder) and path.endswith((".yaml", ".yml")))
    for path in files[:MAX_EVAL_FILES]:
        try:
            results[path] = fetch_file(repo_id, path, revision, options=options, max_bytes=MAX_EVAL_BYTES)
        except ReadError as error:
            problems.append(str(error))
    card = parse_card(data, repo_id, results=results, metadata=info.card_metadata, problems=problems)
    card = replace(card, gated=info.gated if card.gated is None else card.gated)
    facts = opened.facts
    if facts is not None and info.stored_elements:
        facts = replace(facts, stored_dtypes=tuple(info.stored_elements))
    opened = _carded(replace(opened, facts=facts), card)
    if opened.facts is None or opened.facts.source != _GGUF or "config.json" not in paths:
        return opened, ()
    try:
        config = fetch_config(repo_id, revision, options=options)
        return opened, network_claims(network_from_config(config, assumptions), opened.network, "config.json")
    except (ReadError, UnknownArchitectureError, MissingFactError) as error:
        return _noted(opened, f"not checked against its config.json: {error}"), ()


def _with_folder_card(
    opened: OpenedModel, folder: Path, assumptions: Assumptions
) -> tuple[OpenedModel, tuple[Claim, ...]]:
    """The card of a folder, and the other description in it: config.json beside a GGUF, or the other way round."""
    card = read_card(folder)
    if card is not None:
        opened = _carded(opened, card)
    is_gguf = opened.facts is not None and opened.facts.source == _GGUF
    ggufs = _models_in(folder)
    try:
        if is_gguf and (folder / "config.json").exists():
            claimed = network_from_config(read_json_object(folder / "config.json"), assumptions)
            return opened, network_claims(claimed, opened.network, "config.json")
        if not is_gguf and len(ggufs) == 1:
            return opened, network_claims(network_from_gguf(read_gguf(ggufs[0])), opened.network, _GGUF)
    except (ReadError, UnknownArchitectureError, MissingFactError) as error:
        other = "config.json" if is_gguf else "GGUF"
        return _noted(opened, f"not checked against the {other} beside it: {error}"), ()
    return opened, ()


def _is_alone(path: Path) -> bool:
    """Whether a GGUF is the only model of its folder, so that a card or config there is about it."""
    return len(_models_in(path.parent)) == 1


def _models_in(folder: Path) -> list[Path]:
    files = [path for path, _ in zip(folder.glob("*.gguf"), range(_MAX_FOLDER), strict=False)]
    later_parts = [path for path in files if "-of-" in path.stem and "-00001-of-" not in path.stem]
    return sorted(p for p in files if p not in later_parts and not is_projector_name(p.name))


def _carded(opened: OpenedModel, card: Card) -> OpenedModel:
    notes = tuple(f"the card was read in part: {problem}" for problem in card.problems)
    licence = opened.licence or card.licence_shown
    return replace(opened, card=card, licence=licence, notes=(*opened.notes, *notes))


def _noted(opened: OpenedModel, note: str) -> OpenedModel:
    return replace(opened, notes=(*opened.notes, note))


def _what_still_works(reference: HubModel, options: HubOptions) -> str:
    """What a person can do about a gated repository without access to it."""
    repo_id = reference.repo_id
    ways = [
        f"`planner model {row['id']}` works without it"
        for row in model_rows()
        if row.get("hub_id") == repo_id
    ]
    try:
        info = repo_info(repo_id, reference.revision, options=options)
    except ReadError:
        return "".join(f"; {way}" for way in ways[:1])
    return "".join(f"; {part}" for part in (*_public_facts(info), *ways[:1]))


def _public_facts(info: HubRepoInfo) -> list[str]:
    facts = [f"licence {info.licence}"] if info.licence else []
    if info.stored_elements:
        facts.append(f"{format_count(sum(info.stored_elements.values()))} elements stored")
    return [f"the hub tells publicly: {', '.join(facts)}"] if facts else []
