"""A fleet from a folder of files that `planner hardware --format json` wrote, one per machine."""

from pathlib import Path

from hardware.errors import DescriptionError
from hardware.fleet import Fleet, FleetMember
from hardware.fleet_json import MAX_MACHINES
from hardware.machine_json import read_machine_file


def folder_fleet(folder: Path) -> Fleet:
    """The machines of a folder, called after their files; a broken file costs one line."""
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix.casefold() == ".json")
    except OSError as error:
        raise DescriptionError(
            f"cannot read the folder {folder}: {error.strerror or error}; name one with a JSON file per machine"
        ) from error
    if not files:
        raise DescriptionError(
            f"{folder} holds no *.json file; write one per machine with planner hardware --format json > NAME.json"
        )
    if len(files) > MAX_MACHINES:
        raise DescriptionError(f"{folder} holds {len(files):,} JSON files, at most {MAX_MACHINES:,} are read")
    return Fleet(source=f"folder:{folder}", members=tuple(_member(file) for file in files))


def _member(file: Path) -> FleetMember:
    try:
        return FleetMember(name=file.stem, machine=read_machine_file(file))
    except DescriptionError as error:
        return FleetMember(name=file.stem, machine=None, problem=str(error))
