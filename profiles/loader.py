"""Reads the profiles: the packaged facts, with the user's own folder laid on top.

The user's folder is `profiles` in the planner's configuration folder, or what PLANNER_PROFILES_DIR names. It holds
files of the same names; a row (or model, or assumption) of the same id replaces the packaged one, others are added.
Everything is read on first use and kept; nothing here imports more than the standard library and platformdirs.
"""

import copy
import csv
import io
import json
import os
import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import platformdirs

from profiles import choice_schema, machine_schema, model_names, price_schema, schema
from profiles.errors import ProfileError
from profiles.schema import Row

USER_FOLDER_VARIABLE = "PLANNER_PROFILES_DIR"
MAX_FILE_BYTES = 8 * 2**20  # the largest packaged file has 60 kB; a user's folder may hold anything
_MAX_FILES = 2_000


def user_folder() -> Path:
    """Where the user's own profiles are looked for; it need not exist."""
    named = os.environ.get(USER_FOLDER_VARIABLE)
    return Path(named).expanduser() if named else platformdirs.user_config_path("planner") / "profiles"


def accelerator_rows() -> tuple[Row, ...]:
    """Every known accelerator, one row each; cells are text, None where unknown."""
    return _table("accelerators.csv", user_folder())


def node_rows() -> tuple[Row, ...]:
    """Every known whole machine, one row each: servers, racks, cloud instances, workstations, Macs."""
    return _table("nodes.csv", user_folder())


def cpu_rows() -> tuple[Row, ...]:
    """Processors whose cores and memory channels are known, one row each."""
    return _table("cpus.csv", user_folder())


def rent_rows() -> tuple[Row, ...]:
    """What accelerators are rented for, per hour, with date and source."""
    return _table("gpu_rent.csv", user_folder())


def purchase_rows() -> tuple[Row, ...]:
    """What accelerators are bought for, with date and source."""
    return _table("gpu_buy.csv", user_folder())


def node_site_rows() -> tuple[Row, ...]:
    """What whole machines need of a room: height and power, with sources."""
    return _table("node_sites.csv", user_folder())


def engine_image_rows() -> tuple[Row, ...]:
    """The container images that engines are published as."""
    return _table("engine_images.csv", user_folder())


def model_feature_rows() -> tuple[Row, ...]:
    """Whether models think, call tools, are for code: of the catalogue's and of the main closed ones."""
    return _table("model_features.csv", user_folder())


def licence_rows() -> tuple[Row, ...]:
    """Which licences of weights allow business."""
    return _table("licences.csv", user_folder())


def reference_api_rows() -> tuple[Row, ...]:
    """Which API models a local workload is compared with, and why."""
    return _table("reference_apis.csv", user_folder())


def historic_price_rows() -> tuple[Row, ...]:
    """What API tokens cost before the price lists begin, with sources."""
    return _table("historic_prices.csv", user_folder())


def exchange_rate_rows() -> tuple[Row, ...]:
    """Exchange rates against the euro, each with its day."""
    return _table("exchange_rates.csv", user_folder())


def hosted_prices() -> Mapping[str, Any]:
    """Prices of hosts that the price package lacks: what it is, its day, and `lines`; the user's own file stands for it."""
    own = user_folder() / "hosted_prices.json"
    return _json(
        own if own.is_file() else files("profiles").joinpath("hosted_prices.json"), "hosted_prices.json"
    )


def benchmark_score_rows() -> tuple[Row, ...]:
    """What models scored in public benchmarks, with release, day and source."""
    return _table("benchmark_scores.csv", user_folder())


def main_model_rows() -> tuple[Row, ...]:
    """The main models, open and closed, that the price table shows."""
    return _table("main_models.csv", user_folder())


def calibration_rows(name: str) -> tuple[Row, ...]:
    """The rows of one calibration, a CSV file of that name under `calibrations`."""
    if re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name) is None:
        raise ProfileError(
            f"{name[:120]!r} is no name of a calibration; use lower-case letters, digits, - and _"
        )
    return _table(f"calibrations/{name}.csv", user_folder())


def model_rows() -> tuple[Mapping[str, Any], ...]:
    """Every model of the catalogue, sorted by id. Take a copy before changing anything inside."""
    return tuple(_models(user_folder()).values())


def packaged_model_rows() -> tuple[Mapping[str, Any], ...]:
    """The models that come with the planner, whatever the user's own folder says of them."""
    return tuple(_packaged_models().values())


def own_model_ids() -> frozenset[str]:
    """Ids of the models that stand in the user's own folder, packaged ones that it replaces included."""
    return frozenset(_own_models(user_folder()))


def model_entry(name: str) -> dict[str, Any]:
    """One model of the catalogue by its id, name, hub id or alias, in any case; a copy the caller owns."""
    models = _models(user_folder())
    found = _model_index(user_folder()).get(name.strip().casefold())
    if found is None:
        raise unknown_model(name, models.values())
    return copy.deepcopy(dict(models[found]))


def unknown_model(name: str, models: Collection[Mapping[str, Any]]) -> ProfileError:
    """The error for a name that none of the models has, with the nearest names."""
    near = model_names.nearest(name, models)
    hint = f"did you mean {' or '.join(near)}?" if near else "`planner models` lists them"
    return ProfileError(f"no model {name[:120]!r} among the {len(models)} of the catalogue; {hint}")


def read_model(file: Path) -> Mapping[str, Any]:
    """One model from a file of the user's own folder; raises ProfileError naming file and field."""
    entry = _json(file, str(file))
    schema.check_model(entry, str(file))
    return entry


def own_model_files(folder: Path | None = None) -> tuple[Path, ...]:
    """The files of the user's own folder that hold a model each, whole or broken."""
    own = (folder or user_folder()) / "models"
    if not own.is_dir():
        return ()
    found = sorted(path for path in own.glob("*.json") if path.is_file())
    if len(found) > _MAX_FILES:
        raise ProfileError(
            f"{own} holds {len(found):,} files; at most {_MAX_FILES:,} are read, move some away"
        )
    return tuple(found)


def forget_models() -> None:
    """To be called after a file of the user's own models has changed: the next look-up reads them again."""
    for kept in (_own_models, _models, _model_index):
        kept.cache_clear()


def assumptions() -> Mapping[str, Mapping[str, Any]]:
    """What cost estimates assume unless told otherwise (electricity, PUE …), each with unit, basis and source."""
    return _assumptions(user_folder())


_CHECKS: dict[str, Callable[[Row, str], None]] = {
    "accelerators.csv": schema.check_accelerator,
    "nodes.csv": machine_schema.check_node,
    "cpus.csv": machine_schema.check_cpu,
    "node_sites.csv": machine_schema.check_node_site,
    "engine_images.csv": machine_schema.check_engine_image,
    "model_features.csv": choice_schema.check_model_feature,
    "licences.csv": choice_schema.check_licence,
    "gpu_rent.csv": schema.check_rent,
    "gpu_buy.csv": schema.check_purchase,
    "reference_apis.csv": schema.check_reference_api,
    "historic_prices.csv": price_schema.check_price,
    "exchange_rates.csv": price_schema.check_exchange_rate,
    "benchmark_scores.csv": price_schema.check_score,
    "main_models.csv": price_schema.check_main_model,
}


@cache
def _table(name: str, folder: Path) -> tuple[Row, ...]:
    packaged = files("profiles").joinpath(name)
    own = folder / name
    rows: dict[str | None, Row] = {}
    columns: tuple[str, ...] = ()
    if packaged.is_file():
        for row in _csv_rows(read_text(packaged), name):
            rows[row["id"]] = row
            columns = tuple(row)
    if own.is_file():
        check = _CHECKS.get(name, schema.check_calibration)
        for row in _csv_rows(read_text(own), str(own)):
            whole: Row = MappingProxyType(dict.fromkeys(columns) | dict(row))
            check(whole, str(own))
            rows[whole["id"]] = whole
    elif not packaged.is_file():
        raise ProfileError(f"no profile {name!r}: neither packaged nor in {folder}")
    return tuple(rows.values())


def _csv_rows(text: str, shown: str) -> list[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[Row] = []
    seen: set[str | None] = set()
    try:
        header = next(reader, [])
        for cells in reader:
            if not cells:
                continue  # an empty line
            if len(cells) != len(header):
                raise ProfileError(
                    f"{shown}, line {reader.line_num}: found more or fewer cells than the header has"
                )
            row = {key: value.strip() or None for key, value in zip(header, cells, strict=True)}
            if row.get("id") is None:
                raise ProfileError(
                    f"{shown}, line {reader.line_num}, field 'id': found nothing, expected an id"
                )
            if row["id"] in seen:
                raise ProfileError(
                    f"{shown}, line {reader.line_num}: the id {row['id']!r} stands there twice"
                )
            seen.add(row["id"])
            rows.append(MappingProxyType(row))
    except csv.Error as error:
        raise ProfileError(f"{shown}, line {reader.line_num}: not readable as CSV: {error}") from error
    return rows


@cache
def _packaged_models() -> Mapping[str, Mapping[str, Any]]:
    models: dict[str, Mapping[str, Any]] = {}
    for file in files("profiles").joinpath("models").iterdir():
        if file.name.endswith(".json"):
            entry = _json(file, file.name)
            models[entry["id"]] = entry
    return MappingProxyType(dict(sorted(models.items())))


@cache
def _own_models(folder: Path) -> Mapping[str, Mapping[str, Any]]:
    models: dict[str, Mapping[str, Any]] = {}
    held_by: dict[str, Path] = {}
    for path in own_model_files(folder):
        entry = read_model(path)
        id_ = entry["id"]
        if id_ in models:
            raise ProfileError(
                f"{path}: the id {id_!r} stands in {held_by[id_]} too; remove one of the two files"
            )
        models[id_], held_by[id_] = entry, path
    return MappingProxyType(models)


@cache
def _models(folder: Path) -> Mapping[str, Mapping[str, Any]]:
    return MappingProxyType(dict(sorted({**_packaged_models(), **_own_models(folder)}.items())))


@cache
def _model_index(folder: Path) -> Mapping[str, str]:
    """Every spelling of every model, case-folded, to its id; the user's own models are stronger than packaged ones."""
    own = _own_models(folder)
    rest = (model for id_, model in _models(folder).items() if id_ not in own)
    return MappingProxyType(model_names.name_index((*own.values(), *rest)))


@cache
def _assumptions(folder: Path) -> Mapping[str, Mapping[str, Any]]:
    name = "assumptions.toml"
    tables: dict[str, Mapping[str, Any]] = tomllib.loads(read_text(files("profiles").joinpath(name)))
    own = folder / name
    if own.is_file():
        try:
            theirs = tomllib.loads(read_text(own))
        except (ValueError, RecursionError) as error:
            raise ProfileError(f"{own}: not readable as TOML: {error}") from error
        for key, table in theirs.items():
            schema.check_assumption(key, table, str(own))
            tables[key] = table
    return MappingProxyType(tables)


def _json(file: Traversable, shown: str) -> Mapping[str, Any]:
    try:
        entry = json.loads(read_text(file))
    except ValueError as error:  # malformed, or a number of thousands of digits
        raise ProfileError(f"{shown}: not readable as JSON: {error}") from error
    except RecursionError as error:
        raise ProfileError(f"{shown}: not readable as JSON: nested too deeply") from error
    if not isinstance(entry, dict):
        raise ProfileError(
            f"{shown}: found a {type(entry).__name__}, expected an object that describes one model"
        )
    return MappingProxyType(entry)


def read_text(file: Traversable) -> str:
    """The text of a file of at most MAX_FILE_BYTES, or a ProfileError."""
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ProfileError(f"{file}: could not be read: {error.strerror or error}") from error
    if len(data) > MAX_FILE_BYTES:
        raise ProfileError(f"{file}: larger than {MAX_FILE_BYTES // 2**20} MiB, so it is not read; split it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ProfileError(f"{file}: not UTF-8 text (byte {error.start:,}); save it as UTF-8") from error
