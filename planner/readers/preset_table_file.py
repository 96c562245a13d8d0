"""The packaged table of every catalogue network at every preset: read, and written anew.

`python -m planner.readers.preset_table_file profiles/preset_tables.json` works it out again, which takes some minutes;
a test compares it with what the planner says of single models.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

from planner.errors import UnknownArchitectureError
from planner.estimate.preset_table import (
    TABLED_SEQUENCES,
    ClassColumn,
    GroupColumns,
    Place,
    PresetClasses,
    PresetTable,
    ReadColumns,
    Store,
    StoreColumns,
    preset_table,
)
from planner.estimate.straight import Piece, Straight
from planner.model.network import Network
from planner.model.presets import BASE_TYPES
from planner.readers.catalogue_model import from_catalogue
from profiles.loader import own_model_ids, packaged_model_rows

FILE = "preset_tables.json"


def packaged_table(model_id: str) -> PresetTable | None:
    """The table of a packaged model; None for one of the user's own, or one that cannot be stored."""
    key = _file()["models"].get(model_id)
    return None if key is None or model_id in own_model_ids() else _table(key)


@cache
def _table(key: str) -> PresetTable:
    return table_from(_file()["tables"][key])


@cache
def _file() -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(files("profiles").joinpath(FILE).read_bytes())
    return found


def table_from(data: Mapping[str, Any]) -> PresetTable:
    """A table as it was before `table_data`."""
    names = tuple(_file_presets(data))
    return PresetTable(
        presets=names,
        total_bytes=tuple(data["total_bytes"]),
        has_output_head=data["has_output_head"],
        stores={
            name: StoreColumns(**{part: tuple(column) for part, column in data["stores"][name].items()})
            for name in get_args(Store)
        },
        reads=ReadColumns(**{part: tuple(column) for part, column in data["reads"].items()}),
        classes=lambda: _classes(data["classes"]),
        beside={
            (place, int(n)): _straight_from(lines)
            for place in get_args(Place)
            for n, lines in data["beside"].get(place, {}).items()
        },
    )


@cache
def _classes(text: str) -> PresetClasses:
    data = json.loads(text)
    return PresetClasses(
        groups=tuple(
            GroupColumns(n_tensors=group["n_tensors"], classes=_classes_from(group["classes"]))
            for group in data["groups"]
        ),
        head=_classes_from(data["head"]),
    )


def _file_presets(data: Mapping[str, Any]) -> Sequence[str]:
    missing = set(data["without"])
    return [preset for preset in BASE_TYPES if preset not in missing]


def table_data(table: PresetTable) -> dict[str, Any]:
    """A table as JSON: presets in their own order, those that cannot be named."""
    beside: dict[str, dict[str, Any]] = {}
    for (place, n), straight in table.beside.items():
        lines = [[piece.last, list(piece.at_last), list(piece.slopes)] for piece in straight.pieces]
        beside.setdefault(place, {})[str(n)] = {"first": straight.first, "pieces": lines}
    return {
        "without": [preset for preset in BASE_TYPES if preset not in table.presets],
        "total_bytes": list(table.total_bytes),
        "has_output_head": table.has_output_head,
        "stores": {
            store: {
                part: list(getattr(columns, part)) for part in ("fixed", "experts", "head", "table", "tables")
            }
            for store, columns in table.stores.items()
        },
        "reads": {
            part: [_short(x) for x in getattr(table.reads, part)] for part in ("fixed", "experts", "head")
        },
        # As text of its own, which is read only where speeds by operator are asked for.
        "classes": json.dumps(classes_data(table.classes()), separators=(",", ":")),
        "beside": beside,
    }


def classes_data(classes: PresetClasses) -> dict[str, Any]:
    """The weights by class as JSON."""
    return {
        "groups": [
            {"n_tensors": group.n_tensors, "classes": _classes_data(group.classes)}
            for group in classes.groups
        ],
        "head": _classes_data(classes.head),
    }


def _classes_from(rows: Iterable[Sequence[Any]]) -> tuple[ClassColumn, ...]:
    return tuple(
        ClassColumn(
            type_class=name,
            is_expert=is_expert,
            active_fraction=fraction,
            presets=tuple(presets),
            n_bytes=tuple(n_bytes),
            n_elements=tuple(n_elements),
        )
        for name, is_expert, fraction, presets, n_bytes, n_elements in rows
    )


def _classes_data(classes: Iterable[ClassColumn]) -> list[list[Any]]:
    return [
        [
            one.type_class, one.is_expert, one.active_fraction, list(one.presets),
            [_short(x) for x in one.n_bytes], [_short(x) for x in one.n_elements],
        ]
        for one in classes
    ]  # fmt: skip


def _short(value: float) -> float:
    """Whole numbers without their ".0", which would be a tenth of the file."""
    return int(value) if value == int(value) else value


def _straight_from(data: Mapping[str, Any]) -> Straight:
    return Straight(
        first=data["first"],
        pieces=tuple(
            Piece(last=last, at_last=tuple(at_last), slopes=tuple(slopes))
            for last, at_last, slopes in data["pieces"]
        ),
    )


def _networks() -> dict[str, Network]:
    found = {}
    for entry in packaged_model_rows():
        try:
            found[entry["id"]] = from_catalogue(entry, entry["id"]).network
        except UnknownArchitectureError:
            continue
    return found


def network_key(network: Network) -> str:
    """Networks that are alike in all that a table says have one table."""
    return repr((network.architecture, network.groups, network.outer, network.context_tokens))


def table_text(model_id: str, network: Network) -> str:
    """A network's line of the file.

    Graphs of hybrids with recurrent layers show nearly every layer and take long to walk: for one sequence only.
    """
    is_hybrid = any(group.mixer is not None and group.mixer.state_elements for group in network.groups)
    table = preset_table(
        model_id, network, BASE_TYPES, TABLED_SEQUENCES[:1] if is_hybrid else TABLED_SEQUENCES
    )
    return json.dumps(table_data(table), separators=(",", ":"))


def main(path: Path) -> None:
    """Writes the file anew, one line for each table."""
    tables: dict[str, str] = {}
    models: dict[str, str] = {}
    first: dict[str, str] = {}
    for model_id, network in _networks().items():
        key = first.setdefault(network_key(network), model_id)
        if key == model_id:
            tables[key] = table_text(model_id, network)
        models[model_id] = key
    lines = ",\n".join(f"{json.dumps(key)}:{text}" for key, text in tables.items())
    path.write_text(f'{{"models":{json.dumps(models)},\n"tables":{{\n{lines}\n}}}}\n')


if __name__ == "__main__":
    main(Path(sys.argv[1]))
