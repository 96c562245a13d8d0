"""The workloads that come with the planner, with those of the user's own folder on top."""

import re
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Final

from profiles.errors import ProfileError
from profiles.loader import user_folder

_FOLDER: Final = "workloads"
_FORM: Final = re.compile(r"(?P<name>[a-z0-9][a-z0-9_.-]{0,60})\.toml")
_MOST: Final = 2_000


def workload_presets() -> Mapping[str, Traversable]:
    """The file of each preset, by name; one of the user's own folder replaces a packaged one."""
    found = _named(files("profiles").joinpath(_FOLDER))
    own = user_folder() / _FOLDER
    if own.is_dir():
        found |= _named(own)
    if len(found) > _MOST:
        raise ProfileError(f"{own} holds {len(found):,} workloads; at most {_MOST:,} are read")
    return MappingProxyType(dict(sorted(found.items())))


def _named(folder: Traversable) -> dict[str, Traversable]:
    return {
        match["name"]: file
        for file in folder.iterdir()
        if (match := _FORM.fullmatch(file.name)) is not None and file.is_file()
    }
