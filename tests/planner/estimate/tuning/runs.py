"""Published and measured memory of fine-tuning runs, with the settings that each was made with."""

import csv
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from planner import api
from planner.engines.tuning.settings import TuningSettings
from planner.estimate.term import Interval
from planner.estimate.tuning import TuningEstimate, tuning_estimate
from planner.model.network import Network

HERE = Path(__file__).parent
_CONFIGS = json.loads((HERE / "configs.json").read_text(encoding="utf-8"))
_NUMBERS = ("n_sequences", "n_tokens", "rank", "adapter_bytes", "n_accumulated", "n_gpus")
_FLAGS = ("keep_fp32", "autocast", "checkpointing", "chunked_loss", "keeps_logits")
_WORDS = ("method", "base_type", "precision", "optimizer", "attention", "sharding")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One row: who published it, what was run, and what it took in GiB."""

    source: str
    model: str
    stated: str
    gib: float
    scope: str  # "allocated", "reserved" or "process"
    settings: TuningSettings


@cache
def network(name: str) -> Network:
    """A model of the catalogue, or one of configs.json."""
    if name not in _CONFIGS:
        return api.open_model(name).network
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(_CONFIGS[name]), encoding="utf-8")
        return api.open_model(folder).network


def published() -> Iterator[Run]:
    """Figures from READMEs, wikis and papers; a blank cell leaves the default."""
    for row in _rows("published.csv"):
        chosen: dict[str, Any] = {name: int(row[name]) for name in _NUMBERS if row[name]}
        chosen |= {name: row[name] == "1" for name in _FLAGS if row[name]}
        chosen |= {name: row[name] for name in _WORDS if row[name]}
        chosen |= {name: tuple(row[name].split("+")) for name in ("targets", "offload") if row[name]}
        yield Run(
            source=row["source"],
            model=row["model"],
            stated=row["stated"],
            gib=float(row["gib"]),
            scope=row["scope"],
            settings=TuningSettings(**chosen),
        )


def t4_runs() -> Iterator[tuple[Run, dict[str, str]]]:
    """LoRA and QLoRA steps measured on a Tesla T4, with every figure of the row.

    Source: data/measurements of the package fitcheck-llm 0.3.1 (MIT): FP16, q, k, v and o adapted, checkpointing,
    AdamW, no autocast, the output held; NF4 bases went through peft's prepare_model_for_kbit_training.
    """
    for row in _rows("t4_runs.csv"):
        quantized = row["base_type"] == "nf4"
        yield (
            Run(
                source="fitcheck-llm 0.3.1, Tesla T4",
                model=row["model"],
                stated=f"{row['allocated_mib']} MiB",
                gib=float(row["allocated_mib"]) / 1024,
                scope="allocated",
                settings=TuningSettings(
                    method="qlora" if quantized else "lora",
                    n_sequences=int(row["n_sequences"]),
                    n_tokens=int(row["n_tokens"]),
                    rank=int(row["rank"]),
                    targets=("attention",),
                    base_type="nf4" if quantized else "bf16",
                    keep_fp32=quantized,
                    autocast=False,
                    attention="eager" if row["attention"] == "eager" else "flash",
                    keeps_logits=True,
                ),
            ),
            row,
        )


def estimate(run: Run) -> TuningEstimate:
    """What the planner says of it."""
    return tuning_estimate(network(run.model), run.settings)


def interval(run: Run) -> Interval:
    """The planner's answer, in the same scope as the row."""
    found = estimate(run)
    return {"allocated": found.allocated, "reserved": found.reserved, "process": found.gpu}[run.scope]


def _rows(name: str) -> Iterator[dict[str, str]]:
    with (HERE / name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)
