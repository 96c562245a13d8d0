"""Finds models of the catalogue by whole names: id, name, hub id, alias, or the last part of one of these."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from planner.errors import PlannerError
from planner.estimate.llama_cpp_rows.model import Known
from planner.model.opened_model import OpenedModel
from planner.readers.catalogue_model import from_catalogue
from planner.readers.open_model import published_from_catalogue
from profiles.loader import model_rows
from profiles.model_names import name_index, spellings


def catalogue_resolver(
    entries: Iterable[Mapping[str, Any]] | None = None,
) -> Callable[[str], OpenedModel | None]:
    """A function from a name, in any case, to the model as its repository publishes it; None where no entry has it.

    A hub id's last part stands for the model only where a single entry has it.
    """
    rows = {row["id"]: row for row in (model_rows() if entries is None else entries)}
    index = name_index(rows.values())
    last: dict[str, set[str]] = {}
    for id_, row in rows.items():
        for spelling in spellings(row):
            if "/" in spelling:
                last.setdefault(spelling.rpartition("/")[2].casefold(), set()).add(id_)
    for name, ids in last.items():
        if len(ids) == 1:
            index.setdefault(name, next(iter(ids)))
    opened: dict[str, OpenedModel] = {}

    def resolve(name: str) -> OpenedModel | None:
        id_ = index.get(name.casefold())
        if id_ is None:
            return None
        if id_ not in opened:
            opened[id_] = published_from_catalogue(rows[id_], name)
        return opened[id_]

    return resolve


def known_networks(entries: Iterable[Mapping[str, Any]] | None = None) -> tuple[Known, ...]:
    """Every network of the catalogue that is understood, with what it goes by."""
    found = []
    for row in model_rows() if entries is None else entries:
        try:
            network = from_catalogue(row, row["id"]).network
        except PlannerError:  # an architecture that is not understood yet cannot be recognised either
            continue
        found.append(
            Known(id=row["id"], spellings=tuple(spellings(row)), network=network, released=row["released"])
        )
    return tuple(found)
