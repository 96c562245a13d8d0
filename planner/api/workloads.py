"""Workloads by name or file, with what a person says otherwise."""

from difflib import get_close_matches
from pathlib import Path

from hardware.units import format_bytes
from planner.errors import MalformedError, NotFoundError, ReadError
from planner.quoting import quoted
from planner.readers.request_log import read_request_log
from planner.readers.workload_file import MAX_BYTES, parse_workload, read_workload
from planner.readers.workload_writer import workload_toml
from planner.workload.learned import Learned, learn
from planner.workload.overrides import NO_OVERRIDES, Overrides, overridden
from planner.workload.workload import Workload
from profiles.workload_presets import workload_presets

_LONGEST_NAME = 60


def workload_for(name_or_path: str, overrides: Overrides = NO_OVERRIDES) -> Workload:
    """The preset of that name, or the workload in that file (.toml or .json), changed as asked.

    Raises ReadError, one line, for an unknown name, a bad file and figures that contradict each other.
    """
    workload = _found(name_or_path)
    try:
        return overridden(workload, overrides)
    except ValueError as error:
        raise MalformedError(
            f"the workload {quoted(name_or_path)} cannot be changed that way: {error}"
        ) from error


def workload_names() -> tuple[str, ...]:
    """Names of the presets."""
    return tuple(workload_presets())


def list_workloads() -> tuple[Workload, ...]:
    """Every preset, sorted by name."""
    return tuple(workload_for(name) for name in workload_names())


def learn_workload(log: Path, *, name: str | None = None, to: Path | None = None) -> Learned:
    """The workload of a request log or a public trace, written to a file where one is named.

    Raises ReadError, one line, for a log that cannot be read or a file that is there already, and MissingFactError for
    one that holds too little.
    """
    if to is not None and to.exists():
        raise ReadError(f"{quoted(to)} exists already; name another file, or remove it")
    learned = learn(read_request_log(log), name or log.stem[:_LONGEST_NAME])
    if to is not None:
        try:
            to.write_text(workload_toml(learned.workload), encoding="utf-8")
        except OSError as error:
            raise ReadError(f"{quoted(to)} could not be written: {error.strerror or error}") from error
    return learned


def _found(name_or_path: str) -> Workload:
    presets = workload_presets()
    name = name_or_path.strip().casefold()
    if name in presets:
        file = presets[name]
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise MalformedError(f"the workload {quoted(str(file))} is larger than {format_bytes(MAX_BYTES)}")
        return parse_workload(data, quoted(str(file)))
    path = Path(name_or_path)
    if path.suffix.casefold() in (".toml", ".json") or path.exists():
        return read_workload(path)
    near = get_close_matches(name[:60], presets, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(presets)}"
    raise NotFoundError(f"{quoted(name_or_path)} is neither a workload's name nor a file; {hint}")
