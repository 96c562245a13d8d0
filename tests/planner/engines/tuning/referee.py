"""What PyTorch itself kept, in tiny models on the CPU (pytorch.json says how it was counted)."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from planner import api
from planner.engines.tuning.settings import TuningSettings
from planner.model.network import Network

_FILE = Path(__file__).parents[2] / "estimate" / "tuning" / "pytorch.json"


@cache
def _recorded() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    return found


def saved_rows() -> list[dict[str, Any]]:
    """Bytes that one layer saved for its backward pass."""
    rows: list[dict[str, Any]] = _recorded()["rows"]
    return rows


def peak_rows() -> list[dict[str, Any]]:
    """Most live bytes of a step, parameters apart."""
    rows: list[dict[str, Any]] = _recorded()["peaks"]
    return rows


def network(row: Mapping[str, Any]) -> Network:
    """The tiny model of a row, read from its config as any other."""
    config = dict(_recorded()["configs"][row["arch"]])
    if "vocab_size" in row:
        config["vocab_size"] = row["vocab_size"]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(config), encoding="utf-8")
        return api.open_model(folder).network


def settings(row: Mapping[str, Any]) -> TuningSettings:
    """The settings of a row; the optimizer took no step, so it has no state."""
    targets = row["targets"]
    fp32 = row.get("weights") == "float32"
    return TuningSettings(
        method=row["method"],
        n_sequences=row["n_sequences"],
        n_tokens=row["n_tokens"],
        rank=row["rank"],
        targets=(targets,) if isinstance(targets, str) else tuple(targets),
        base_type="fp32" if fp32 else "bf16",
        precision="amp" if fp32 else "bf16",
        autocast=row["autocast"],
        attention=row["attention"],
        checkpointing=row.get("checkpointing", True),
        optimizer="sgd",
        keeps_logits=True,
    )


def label(row: Mapping[str, Any]) -> str:
    """A row's name in test reports."""
    parts = (
        row["arch"],
        row["method"],
        row["attention"],
        row.get("weights", ""),
        row["targets"],
        row["autocast"],
    )
    return "-".join(str(part) for part in parts)


def architectures() -> Iterator[str]:
    """Every kind of model there is a row of."""
    yield from dict.fromkeys(row["arch"] for row in saved_rows())
