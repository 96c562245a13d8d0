"""A machine as JSON and back: what `planner hardware --format json` writes, read on another machine.

The keys are those of the records, with units in their names, under a versioned schema. Within a version fields
are only added, and an older reader says which it left out; a newer version is refused by name.
"""

import json
import re
from dataclasses import fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from hardware.errors import DescriptionError
from hardware.record_json import Keys, RecordError, record_from_data, record_to_data
from hardware.spec import Machine, MeasuredRate, Memory
from hardware.units import MIB, format_bytes

MACHINE_SCHEMA = "planner.hardware/1"
THIS_MACHINE = "this machine"
_MAX_FILE_BYTES = 16 * MIB
_MAX_NAMED = 5
_SCHEMA = re.compile(r"planner\.([a-z_]{1,40})/(\d{1,9})")

_KEYS = Keys(
    names=MappingProxyType(
        {
            (Machine, "memory_bandwidth"): "memory_bandwidth_bytes_per_s",
            (Machine, "mapped_read"): "mapped_read_bytes_per_s",
            (Machine, "matrix_throughput"): "matrix_throughput_flop_per_s",
            (Machine, "cpu_memory_bytes_per_s"): "stated_memory_bytes_per_s",
            (Machine, "cpu_memory_basis"): "stated_memory_basis",
        }
    ),
    shown=MappingProxyType({Memory: ("usable_bytes",)}),
)


def machine_to_json_data(machine: Machine) -> dict[str, Any]:
    """A machine with all its devices as JSON data, every number with its unit in the key."""
    return {"schema": MACHINE_SCHEMA, **record_to_data(machine, _KEYS)}


def machine_from_json(text: str, *, source: str) -> Machine:
    """The machine that `planner hardware --format json` wrote; `source` names the file in errors.

    Raises DescriptionError, one line, for anything else.
    """
    return machine_from_data(json_document(text, source, _MAX_FILE_BYTES), source=source)


def machine_from_data(data: Any, *, source: str) -> Machine:
    """The same from JSON that is already parsed."""
    check_schema(data, MACHINE_SCHEMA, source)
    unread: list[str] = []
    try:
        machine = record_from_data(
            Machine, {key: value for key, value in data.items() if key != "schema"}, _KEYS, unread
        )
        _check(machine)
    except RecordError as error:
        raise DescriptionError(
            f"{source} is not a whole machine: {error}; write it again with planner hardware --format json"
        ) from error
    if not unread:
        return machine
    more = f" and {len(unread) - _MAX_NAMED} more" if len(unread) > _MAX_NAMED else ""
    note = (
        f"{source}: not read, because this planner does not know it: {', '.join(unread[:_MAX_NAMED])}{more}"
    )
    return replace(machine, problems=(*machine.problems, note))


def read_machine_file(path: Path) -> Machine:
    """The machine of a file; one that calls itself "this machine" is called after the file."""
    machine = machine_from_json(read_bounded(path, _MAX_FILE_BYTES), source=str(path))
    if machine.name != THIS_MACHINE:
        return machine
    return replace(machine, name=f"the machine of {path.name}")


def read_bounded(path: Path, max_bytes: int) -> str:
    """The text of a file that is no larger than `max_bytes`; raises DescriptionError, one line."""
    try:
        if not path.is_file():  # a pipe or a device could be read for ever
            raise DescriptionError(
                f"{path} is not a file; name one that planner hardware --format json wrote"
            )
        with path.open("rb") as stream:
            content = stream.read(max_bytes + 1)
    except OSError as error:
        raise DescriptionError(
            f"cannot read {path}: {error.strerror or error}; check its name and permissions"
        ) from error
    if len(content) > max_bytes:
        raise DescriptionError(f"{path} is larger than {format_bytes(max_bytes)}, so it holds no machine")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DescriptionError(
            f"{path} is not UTF-8 text; write it again with planner hardware --format json"
        ) from error


def json_document(text: str, source: str, max_bytes: int) -> Any:
    """The JSON in a text of bounded size; raises DescriptionError for anything else."""
    if len(text) > max_bytes:
        raise DescriptionError(f"{source} is larger than {format_bytes(max_bytes)}, so it is not read")
    try:
        return json.loads(text, parse_constant=_not_finite)
    except RecursionError as error:
        raise DescriptionError(f"{source} is not read: its JSON is nested too deeply") from error
    except ValueError as error:
        why = " ".join(str(error).split())[:120]
        raise DescriptionError(f"{source} is not JSON: {why}") from error


def check_schema(data: Any, wanted: str, source: str) -> None:
    """Raises DescriptionError unless `data` is of the schema that the caller reads."""
    found = data.get("schema") if isinstance(data, dict) else None
    match = _SCHEMA.fullmatch(found) if isinstance(found, str) else None
    kind, version = wanted.removeprefix("planner.").split("/")
    if match is None:
        raise DescriptionError(
            f"{source} does not say schema {wanted!r}, so planner hardware --format json did not write it"
        )
    if match.group(1) == "fleet" and kind != "fleet":
        raise DescriptionError(f"{source} holds a fleet of machines, not one; use --on fleet:{source}")
    if match.group(1) != kind:
        raise DescriptionError(
            f"{source} holds the answer of another command ({found}); planner hardware --format json writes {wanted}"
        )
    if match.group(2) != version:
        raise DescriptionError(
            f"{source} has schema {found}, this planner reads {wanted}; update the planner, or write the file "
            "again with this one"
        )


def _not_finite(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number of JSON")


def _check(machine: Machine) -> None:
    """What no real machine says, and what estimates would divide by."""
    rates = [(_KEYS.of(Machine, field.name), getattr(machine, field.name)) for field in fields(machine)]
    positive = {
        "memory.total_bytes": machine.memory and machine.memory.total_bytes,
        "cpu.n_usable_threads": machine.cpu and machine.cpu.n_usable_threads,
        "stated_memory_bytes_per_s": machine.cpu_memory_bytes_per_s,
        **{f"{name}.per_s": rate.per_s for name, rate in rates if isinstance(rate, MeasuredRate)},
        **{f"gpus[{i}].memory_bytes": gpu.memory_bytes for i, gpu in enumerate(machine.gpus)},
        **{
            f"gpus[{i}].copies.{name}.per_s": rate.per_s
            for i, gpu in enumerate(machine.gpus)
            for name in ("within", "from_host", "to_host")
            if (rate := getattr(gpu.copies, name, None)) is not None
        },
    }
    for place, value in positive.items():
        if value == 0:
            raise RecordError(f"{place} is 0; leave out what is unknown")
