"""A fleet as JSON and back: what `planner hardware --fleet … --format json` writes."""

import re
from pathlib import Path
from typing import Any, TypeGuard

from hardware.errors import DescriptionError
from hardware.fleet import Fleet, FleetMember, like_machines
from hardware.machine_json import (
    check_schema,
    json_document,
    machine_from_data,
    machine_to_json_data,
    read_bounded,
)
from hardware.units import MIB

FLEET_SCHEMA = "planner.fleet/1"
MAX_MACHINES = 10_000
_MAX_FILE_BYTES = 256 * MIB
_MAX_TEXT = 2_000


def fleet_to_json_data(fleet: Fleet) -> dict[str, Any]:
    """A fleet with each of its machines, and how like ones group."""
    return {
        "schema": FLEET_SCHEMA,
        "source": fleet.source,
        "n_machines": len(fleet.members),
        "n_usable": len(fleet.usable),
        "groups": [
            {"label": group.label, "count": group.count, "names": list(group.names)}
            for group in like_machines(fleet)
        ],
        "machines": [
            {
                "name": member.name,
                "problem": member.problem,
                "machine": None if member.machine is None else machine_to_json_data(member.machine),
            }
            for member in fleet.members
        ],
        "problems": list(fleet.problems),
    }


def fleet_from_json(text: str, *, source: str) -> Fleet:
    """The fleet that `fleet_to_json_data` describes; a machine that is damaged costs one line.

    Raises DescriptionError, one line, for anything that is not a fleet.
    """
    data = json_document(text, source, _MAX_FILE_BYTES)
    check_schema(data, FLEET_SCHEMA, source)
    machines, problems = data.get("machines"), data.get("problems", [])
    if not isinstance(machines, list) or len(machines) > MAX_MACHINES:
        raise DescriptionError(
            f"{source} is not a fleet: it has no list of at most {MAX_MACHINES:,} machines"
        )
    if not isinstance(problems, list) or not all(_is_line(line) for line in problems[:MAX_MACHINES]):
        raise DescriptionError(f"{source} is not a fleet: its problems are not a list of lines")
    return Fleet(
        source=source,
        members=tuple(_member(item, f"{source}: machines[{i}]") for i, item in enumerate(machines)),
        problems=tuple(problems[:MAX_MACHINES]),
    )


def read_fleet_file(path: Path) -> Fleet:
    """The fleet in a file."""
    return fleet_from_json(read_bounded(path, _MAX_FILE_BYTES), source=str(path))


def _member(item: Any, source: str) -> FleetMember:
    name, problem, data = (
        (item.get("name"), item.get("problem"), item.get("machine"))
        if isinstance(item, dict)
        else (None, None, None)
    )
    if not _is_line(name) or not (problem is None or _is_line(problem)):
        return FleetMember(name=source, machine=None, problem="has no name, or a problem that is not a line")
    if data is None:
        return FleetMember(name=name, machine=None, problem=problem or "nothing is known of this machine")
    try:
        return FleetMember(name=name, machine=machine_from_data(data, source=source), problem=problem)
    except DescriptionError as error:
        return FleetMember(name=name, machine=None, problem=str(error))


def _is_line(text: Any) -> TypeGuard[str]:
    return isinstance(text, str) and 0 < len(text) <= _MAX_TEXT and not re.search("[\ud800-\udfff]", text)
