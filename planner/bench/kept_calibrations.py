"""Calibrations on disk: one JSON file each in a folder that the caller names, and a line of text that names the one in use."""

import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, get_args

from hardware.units import MIB
from planner.errors import BenchError, MalformedError, NotFoundError
from planner.speed.factors import Factors
from planner.speed.kept_calibration import KeptCalibration, MeasuredFile, Mode
from planner.speed.table import effect_rows, factors_from, spread_rows, spreads_from
from profiles.errors import ProfileError

PACKAGED: Final = "packaged"
_IN_USE: Final = "in-use"
_KIND: Final = "planner-calibration"
_SCHEMA_VERSION: Final = 1
_MAX_FILE_BYTES: Final = 64 * MIB
_ID: Final = re.compile(r"[0-9a-z-]{1,80}")


def keep_calibration(found: KeptCalibration, folder: Path) -> Path:
    """Writes a calibration, whole or not at all, and then puts it in use."""
    path = _file(folder, found.id)
    content = {
        "kind": _KIND,
        "schema_version": _SCHEMA_VERSION,
        "id": found.id,
        "date": found.date,
        "mode": found.mode,
        "base": found.base,
        "files": [asdict(file) for file in found.files],
        "rows": [dict(row) for row in found.rows],
        "loads": [dict(row) for row in found.loads],
        "effects": effect_rows(found.factors),
        "spreads": spread_rows(found.spreads, found.date, found.id),
    }
    _write_whole(path, json.dumps(content, indent=0))
    use_calibration(found.id, folder)
    return path


def use_calibration(name: str, folder: Path) -> None:
    """Puts a kept calibration in use, or the packaged one; raises NotFoundError for one that is not there."""
    if name != PACKAGED and not (_ID.fullmatch(name) and _file(folder, name).is_file()):
        raise NotFoundError(
            f"no calibration {name[:80]!r} is kept in {folder}; `planner calibrate --show` lists them"
        )
    _write_whole(folder / _IN_USE, f"{name}\n")


def name_in_use(folder: Path) -> str:
    """The id of the calibration in use, or "packaged"."""
    try:
        text = (folder / _IN_USE).read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return PACKAGED
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"{folder / _IN_USE} could not be read: {error}") from error
    return text if _ID.fullmatch(text) else PACKAGED


def load_calibration(name: str, folder: Path) -> KeptCalibration:
    """One kept calibration; raises MalformedError for a damaged file, saying how to go on without it."""
    path = _file(folder, name)
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise ValueError(f"larger than {_MAX_FILE_BYTES // MIB} MiB")
        return _calibration(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise NotFoundError(
            f"the calibration {name} is in use and missing from {folder}; `planner calibrate --use packaged` goes "
            "on without it"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError, ProfileError) as error:
        raise MalformedError(
            f"{path} is no calibration ({error}); `planner calibrate --use packaged` goes on without it"
        ) from None


def kept_calibrations(folder: Path) -> tuple[tuple[KeptCalibration, ...], tuple[str, ...]]:
    """All kept calibrations, oldest first, and a line for each file that is none."""
    found, warnings = [], []
    for path in sorted(folder.glob("*.json")):
        try:
            found.append(load_calibration(path.stem, folder))
        except (MalformedError, NotFoundError) as error:
            warnings.append(str(error))
    return tuple(sorted(found, key=lambda one: one.id)), tuple(warnings)


def _calibration(content: Any) -> KeptCalibration:
    if not isinstance(content, Mapping) or content.get("kind") != _KIND:
        raise ValueError(f'its "kind" is not {_KIND!r}')
    if content.get("schema_version") != _SCHEMA_VERSION:
        raise ValueError(f"its schema_version is not {_SCHEMA_VERSION}")
    factors: Factors = factors_from(content["effects"])
    return KeptCalibration(
        id=_text(content["id"]),
        date=_text(content["date"]),
        mode=_mode(content["mode"]),
        base=_text(content["base"]),
        files=tuple(
            MeasuredFile(name=_text(file["name"]), n_rows=int(file["n_rows"]), n_placed=int(file["n_placed"]))
            for file in content["files"]
        ),
        rows=_rows(content["rows"]),
        loads=_rows(content.get("loads", [])),
        effects=factors.effects,
        spreads=spreads_from(content["spreads"]),
    )


def _rows(value: Any) -> tuple[Mapping[str, str], ...]:
    return tuple({_text(key): _text(cell) for key, cell in row.items()} for row in value)


def _mode(value: object) -> Mode:
    found = next((mode for mode in get_args(Mode) if mode == value), None)
    if found is None:
        raise ValueError(f"its mode is {str(value)[:80]!r}")
    return found  # type: ignore[no-any-return]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{str(value)[:80]!r} is no text")
    return value


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def _write_whole(path: Path, text: str) -> None:
    """A new name in the same folder, then one rename: a reader or a kill never meets half a file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".unfinished-", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise BenchError(
            f"could not write {path}: {error.strerror or error}; set PLANNER_DATA_DIR to a folder that can be written"
        ) from error
