"""Writes and removes models in the user's own folder, each a file of its own, whole or not at all."""

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from profiles import loader, model_names, schema
from profiles.errors import ProfileError


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnModel:
    """One file of the user's own models; `problem` says why it cannot be used, `entry` is None then."""

    file: Path
    entry: Mapping[str, Any] | None
    problem: str | None = None

    @property
    def id(self) -> str:
        """The model's id; the file's name when the file is broken."""
        return self.file.stem if self.entry is None else str(self.entry["id"])

    def goes_by(self, name: str) -> bool:
        """Whether a name, in any case, means this model."""
        wanted = name.strip().casefold()
        known = (self.id,) if self.entry is None else tuple(model_names.spellings(self.entry))
        return wanted in (spelling.casefold() for spelling in known)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedModel:
    """A model that is in the user's own folder now."""

    entry: Mapping[str, Any]
    file: Path
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedModel:
    """A model that is not in the user's own folder any more; a packaged one of the same id shows again."""

    id: str
    file: Path
    uncovers_packaged: bool


def own_models() -> tuple[OwnModel, ...]:
    """Every model of the user's own folder, broken ones included: one of them does not hide the others."""
    found = []
    for file in loader.own_model_files():
        try:
            found.append(OwnModel(file=file, entry=loader.read_model(file)))
        except ProfileError as error:
            found.append(OwnModel(file=file, entry=None, problem=str(error)))
    return tuple(found)


def model_file(id_: str) -> Path:
    """The file of the user's own folder that holds a model, or the one that would."""
    named = [own.file for own in own_models() if own.id == id_]
    return named[0] if named else loader.user_folder() / "models" / f"{id_}.json"


def write_model(
    entry: Mapping[str, Any], *, replace: bool = False, rename: Callable[[Path, Path], object] = os.replace
) -> Path:
    """Writes a model into the user's own folder and says where; `replace` allows one of the same id to go.

    Raises ProfileError for an entry that breaks the schema, that is there already, or that cannot be written.
    """
    schema.check_model(entry, "the new entry")
    file = model_file(entry["id"])
    if not replace and file.exists():
        raise ProfileError(f"{file} holds {entry['id']!r} already; add --force to replace it")
    text = json.dumps(entry, indent=2) + "\n"
    if len(text) > loader.MAX_FILE_BYTES:
        raise ProfileError(
            f"the entry of {entry['id']!r} would have {len(text):,} bytes; at most {loader.MAX_FILE_BYTES:,} are written"
        )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # A new name that no reader looks at, then one rename: nobody ever meets half a file.
        descriptor, name = tempfile.mkstemp(prefix=f".{entry['id'][:40]}-", suffix=".tmp", dir=file.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as stream:
                stream.write(text)
            rename(Path(name), file)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise ProfileError(
            f"cannot write {file}: {error.strerror or error}; "
            f"set {loader.USER_FOLDER_VARIABLE} to a folder you can write"
        ) from error
    loader.forget_models()
    return file


def remove_model(name: str) -> OwnModel:
    """Removes a model from the user's own folder, by any of its names; packaged ones cannot be removed."""
    own = own_models()
    found = next((model for model in own if model.goes_by(name)), None)
    if found is None:
        packaged = loader.packaged_model_rows()
        if name.strip().casefold() in model_names.name_index(packaged):
            raise ProfileError(
                f"{name[:120]!r} comes with the planner; only models of {loader.user_folder() / 'models'} are removed"
            )
        entries = [model.entry for model in own if model.entry is not None]
        near = model_names.nearest(name, entries)
        hint = f"did you mean {' or '.join(near)}?" if near else f"it holds {len(own)}"
        raise ProfileError(f"no model {name[:120]!r} in {loader.user_folder() / 'models'}; {hint}")
    try:
        found.file.unlink()
    except OSError as error:
        raise ProfileError(f"cannot remove {found.file}: {error.strerror or error}") from error
    loader.forget_models()
    return found
