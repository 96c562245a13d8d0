"""Writes the packaged table of every catalogue network at every preset anew, which takes some minutes.

    python -m planner.readers.preset_table_writer profiles/preset_tables.json

Needed after a change of a rule for memory, of a preset or of the catalogue: a test compares the table with what the
planner says of single models.
"""

import json
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

from planner.errors import UnknownArchitectureError
from planner.estimate.preset_table import TABLED_SEQUENCES, preset_table
from planner.model.network import Network
from planner.model.presets import BASE_TYPES
from planner.readers.catalogue_model import from_catalogue
from planner.readers.preset_table_file import table_data
from profiles.loader import packaged_model_rows


@cache
def _networks() -> Mapping[str, Network]:
    found = {}
    for entry in packaged_model_rows():
        try:
            found[entry["id"]] = from_catalogue(entry, entry["id"]).network
        except UnknownArchitectureError:
            continue
    return found


def _network_key(network: Network) -> str:
    """Networks that are alike in all that a table says have one table."""
    return repr((network.architecture, network.groups, network.outer, network.context_tokens))


def table_text(model_id: str) -> str:
    """A network's line of the file.

    Graphs of hybrids with recurrent layers show nearly every layer and take long to walk: for one sequence only.
    """
    network = _networks()[model_id]
    is_hybrid = any(group.mixer is not None and group.mixer.state_elements for group in network.groups)
    sequences = TABLED_SEQUENCES[:1] if is_hybrid else TABLED_SEQUENCES
    table = preset_table(model_id, network, BASE_TYPES, sequences)
    return json.dumps(table_data(table), separators=(",", ":"))


def file_text(lines: Mapping[str, str], models: Mapping[str, str]) -> str:
    """The whole file: which table each model has, and the tables, one a line."""
    tables = ",\n".join(f"{json.dumps(key)}:{text}" for key, text in lines.items())
    return f'{{"models":{json.dumps(models)},\n"tables":{{\n{tables}\n}}}}\n'


def main(path: Path) -> None:
    """Writes the file anew, on all processors."""
    first: dict[str, str] = {}
    models = {name: first.setdefault(_network_key(network), name) for name, network in _networks().items()}
    keys = list(dict.fromkeys(models.values()))
    with ProcessPoolExecutor() as pool:
        lines = dict(zip(keys, pool.map(table_text, keys), strict=True))
    path.write_text(file_text(lines, models))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
