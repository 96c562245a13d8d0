"""The packaged table of the catalogue: complete, and what the planner says of single models today."""

import json
from hashlib import sha256
from importlib.resources import files
from typing import Any

import pytest

from planner.errors import UnknownArchitectureError
from planner.estimate.described_model import DescribedModel
from planner.estimate.preset_table import PLACES, PresetTable, beside_weights_at, preset_table
from planner.model.network import Network
from planner.model.presets import BASE_TYPES, preset_storage
from planner.readers.catalogue_model import from_catalogue
from planner.readers.preset_table_file import FILE, classes_data, packaged_table, table_data, table_from
from planner.readers.preset_table_writer import file_text, table_text
from profiles.loader import packaged_model_rows

# What to do when one of these fails: python -m planner.readers.preset_table_writer profiles/preset_tables.json


def networks() -> dict[str, Network]:
    found = {}
    for entry in packaged_model_rows():
        try:
            found[entry["id"]] = from_catalogue(entry, entry["id"]).network
        except UnknownArchitectureError:
            continue
    return found


NETWORKS = networks()


def pick(text: str, n: int) -> int:
    """One of n, always the same for a text, and spread evenly over texts."""
    return int.from_bytes(sha256(text.encode()).digest()[:4], "big") % n


def in_any_order(table: PresetTable) -> dict[str, Any]:
    """A table without its lines, classes sorted: each preset meets them in another order."""
    classes = classes_data(table.classes())
    groups = [group | {"classes": sorted(group["classes"])} for group in classes["groups"]]
    return table_data(table) | {"beside": {}, "classes": (groups, sorted(classes["head"]))}


def test_every_model_that_is_understood_has_a_table() -> None:
    assert all(packaged_table(model_id) is not None for model_id in NETWORKS)
    assert packaged_table("no such model") is None


@pytest.mark.parametrize("model_id", NETWORKS)
def test_the_sums_of_a_preset_are_those_of_today(model_id: str) -> None:
    """A preset of each model, another for each."""
    network = NETWORKS[model_id]
    table = packaged_table(model_id)
    assert table is not None
    preset = table.presets[pick(model_id, len(table.presets))]
    today = preset_table(model_id, network, (preset,), ())
    assert in_any_order(table.only((preset,))) == in_any_order(today)


@pytest.mark.parametrize(
    "model_id", [name for name in NETWORKS if (table := packaged_table(name)) and table.beside]
)
def test_the_memory_beside_the_weights_is_that_of_today(model_id: str) -> None:
    """A context, place and number of sequences of each model, and another preset than the table was made of."""
    network = NETWORKS[model_id]
    table = packaged_table(model_id)
    assert table is not None
    place = PLACES[pick(model_id, 2)]
    known = [n for at, n in table.beside if at == place]
    n_sequences = known[pick(model_id + "n", len(known))]
    straight = table.beside[place, n_sequences]
    cells = straight.first + pick(model_id + "c", straight.last - straight.first + 1)
    preset = table.presets[pick(model_id + "q", len(table.presets))]
    model = DescribedModel(name=model_id, network=network, storage=preset_storage(network, preset))
    assert straight.at(cells) == beside_weights_at(model, place, n_sequences, 256 * cells)


def test_most_networks_memory_is_on_lines() -> None:
    without = [name for name in NETWORKS if (table := packaged_table(name)) and not table.beside]
    # Whose caches of summaries are rounded up.
    assert without == [name for name in NETWORKS if name.startswith("deepseek-v4")]


def test_the_file_is_as_it_would_be_written() -> None:
    """Order, spelling and the tables' names, with one table worked out anew."""
    text = files("profiles").joinpath(FILE).read_text(encoding="utf-8")
    data = json.loads(text)
    lines = {
        json.loads(key): table.rstrip(",")
        for key, _, table in (line.partition(":") for line in text.splitlines())
        if table.startswith("{") and key != '"tables"' and not key.startswith("{")
    }
    assert list(lines) == list(data["tables"])
    assert file_text(lines, data["models"]) == text
    assert table_text("qwen3-0.6b") == lines["qwen3-0.6b"]


def test_presets_that_cannot_be_made_are_named() -> None:
    table = packaged_table("qwen3-8b")
    assert table is not None
    assert set(table.presets) <= set(BASE_TYPES)
    assert len(table.presets) > 30


def test_a_table_survives_being_written() -> None:
    table = packaged_table("qwen3-8b")
    assert table is not None
    again = table_from(json.loads(json.dumps(table_data(table))))
    assert again == table
    assert again.classes() == table.classes()
