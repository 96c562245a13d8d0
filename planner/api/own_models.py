"""The user's own models: fetched from the hub or this machine, kept as catalogue entries, fetched anew, removed."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from planner.errors import USER_ERRORS, NotFoundError
from planner.progress import Progress
from planner.quoting import quoted
from planner.readers.catalogue_entry import NO_LABEL, FetchedEntry, Label, entry_from_files, entry_from_hub
from planner.readers.hub.repository import DEFAULT_OPTIONS, HubOptions
from planner.readers.reference import (
    CatalogueName,
    HubModel,
    LocalConfig,
    LocalFolder,
    Reference,
    parse_reference,
)
from profiles import user_models
from profiles.errors import ProfileError
from profiles.loader import packaged_model_rows, unknown_model
from profiles.model_changes import UpdatedModel, changes, merged
from profiles.model_names import name_index
from profiles.user_models import AddedModel, OwnModel, RemovedModel

Entry = Mapping[str, Any]


def add_model(
    text: str,
    *,
    label: Label = NO_LABEL,
    replace: bool = False,
    options: HubOptions = DEFAULT_OPTIONS,
    today: date | None = None,
) -> AddedModel:
    """Fetches a model's config, checks that it is understood and keeps it in the user's own folder.

    `replace` lets it take the place of a model that the catalogue has under the same id or repository.
    """
    reference = parse_reference(text)
    fetched = _fetched(reference, text, label, options, today or _today())
    packaged = {model["id"]: model for model in packaged_model_rows()}
    own = {model.id: model for model in user_models.own_models()}
    entry = dict(fetched.entry)
    known = packaged | {id_: model.entry for id_, model in own.items() if model.entry is not None}
    same = next(
        (m for m in known.values() if m["hub_id"] is not None and m["hub_id"] == entry["hub_id"]), None
    )
    if same is not None and label.name is None:
        entry["id"], entry["name"] = same["id"], same["name"]
    if not replace:
        _check_new(entry, same, packaged, own)
    _check_names(entry, known)
    file = user_models.write_model(entry, replace=replace)
    return AddedModel(entry=entry, file=file, notes=fetched.notes)


def _today() -> date:
    return datetime.now(tz=UTC).date()


def _fetched(reference: Reference, text: str, label: Label, options: HubOptions, today: date) -> FetchedEntry:
    match reference:
        case HubModel():
            return entry_from_hub(reference, today=today, label=label, options=options)
        case LocalFolder() | LocalConfig():
            return entry_from_files(reference, today=today, label=label)
        case CatalogueName(name=name):
            index = name_index(packaged_model_rows())
            hint = f"the catalogue has {index[name.casefold()]} already; " if name.casefold() in index else ""
            raise NotFoundError(
                f"{quoted(text)} is no repository, folder or config.json; {hint}write ORG/NAME or a path"
            )
        case _:
            raise NotFoundError(
                f"{quoted(text)} has no config.json to keep; a GGUF file and an Ollama model describe themselves, try "
                f"`planner model {text}`; to add a model, name its hub repository, its folder or its config.json"
            )


def _check_new(
    entry: Entry, same: Entry | None, packaged: Mapping[str, Entry], own: Mapping[str, OwnModel]
) -> None:
    """Refuses to hide a model of the catalogue unasked."""
    id_ = entry["id"]
    if same is not None:
        raise ProfileError(
            f"{same['hub_id']} is in the catalogue as {same['id']!r} already; `planner models update {same['id']}` "
            "fetches it anew, --force replaces it"
        )
    if id_ in own:
        raise ProfileError(
            f"{own[id_].file} holds {id_!r} already; choose another --name, or add --force to replace it"
        )
    if id_ in packaged:
        raise ProfileError(
            f"the id {id_!r} is that of {packaged[id_]['hub_id'] or 'a packaged model'}; choose another --name, or "
            "add --force to put yours in its place"
        )


def _check_names(entry: Entry, known: Mapping[str, Entry]) -> None:
    """Refuses a name or alias that means another model: it would find one of the two by chance."""
    index = name_index(model for id_, model in known.items() if id_ != entry["id"])
    for spelling in (entry["name"], *entry["aliases"]):
        owner = index.get(spelling.casefold())
        if owner is not None:
            raise ProfileError(f"{spelling[:120]!r} is a name of {owner!r} already; choose another one")


def update_models(
    names: Sequence[str] = (),
    *,
    dry_run: bool = False,
    options: HubOptions = DEFAULT_OPTIONS,
    today: date | None = None,
    progress: Progress | None = None,
) -> tuple[UpdatedModel, ...]:
    """Fetches models anew, the user's own ones unless named, and keeps what changed in the user's own folder.

    A packaged model that is named gets an entry of one's own on top. A model that fails does not stop the
    others; an unknown name stops all before anything is fetched.
    """
    own = user_models.own_models()
    targets = [_named(name, own) for name in names] if names else list(own)
    outcomes = []
    for i, target in enumerate(targets):
        if progress is not None:
            progress(i / len(targets), target.id)
        outcomes.append(_updated(target, dry_run, options, today or _today()))
    if progress is not None and targets:
        progress(1, "")
    return tuple(outcomes)


def _named(name: str, own: Sequence[OwnModel]) -> OwnModel:
    """The model of that name: one's own before a packaged one, which is treated like one not written yet."""
    for model in own:
        if model.goes_by(name):
            return model
    packaged = {model["id"]: model for model in packaged_model_rows()}
    found = name_index(packaged.values()).get(name.strip().casefold())
    if found is None:
        raise unknown_model(name, [*packaged.values(), *(m.entry for m in own if m.entry is not None)])
    return OwnModel(file=user_models.model_file(found), entry=packaged[found])


def _updated(target: OwnModel, dry_run: bool, options: HubOptions, today: date) -> UpdatedModel:
    if target.entry is None:
        return UpdatedModel(id=target.id, fetched_from=None, problem=target.problem)
    old = target.entry
    source = next((source for source in old["sources"] if source["what"] == "config"), old["sources"][0])
    place = old["hub_id"] or source["where"]
    try:
        fetched = _fetched_again(old, source, options, today)
        entry = merged(old, fetched.entry)
        found = changes(old, entry)
        written = user_models.write_model(entry, replace=True) if found and not dry_run else None
    except USER_ERRORS as error:
        return UpdatedModel(id=target.id, fetched_from=place, problem=" ".join(str(error).split()))
    return UpdatedModel(id=target.id, fetched_from=place, changes=found, file=written)


def _fetched_again(old: Entry, source: Mapping[str, str], options: HubOptions, today: date) -> FetchedEntry:
    label = Label(name=old["name"], family=old["family"])
    if old["hub_id"] is not None:
        reference = parse_reference(f"hf://{old['hub_id']}")
        assert isinstance(reference, HubModel)
        branch = source.get("branch")
        return entry_from_hub(
            HubModel(repo_id=reference.repo_id, revision=branch), today=today, label=label, options=options
        )
    file = Path(source["where"])
    if not file.is_file():
        raise NotFoundError(f"{quoted(file)}, which it was added from, is not there any more")
    whole = LocalFolder(path=file.parent) if file.name == "config.json" else LocalConfig(path=file)
    return entry_from_files(whole, today=today, label=label)


def remove_model(name: str) -> RemovedModel:
    """Removes one of the user's own models, by any of its names."""
    removed = user_models.remove_model(name)
    packaged = {model["id"] for model in packaged_model_rows()}
    return RemovedModel(id=removed.id, file=removed.file, uncovers_packaged=removed.id in packaged)
