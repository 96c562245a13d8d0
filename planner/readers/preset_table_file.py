"""The packaged table of every catalogue network at every preset; `preset_table_writer` works it out."""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, get_args

from planner.estimate.preset_table import (
    ClassColumn,
    GroupColumns,
    Place,
    PresetClasses,
    PresetTable,
    ReadColumns,
    Store,
    StoreColumns,
)
from planner.estimate.straight import Piece, Straight
from planner.model.presets import BASE_TYPES
from profiles.loader import own_model_ids

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
