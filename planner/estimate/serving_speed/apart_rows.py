"""Rows of measured latency where prompts were read and answers decoded on GPUs of their own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from planner.engines.sharding import Parallel
from planner.errors import MissingFactError
from planner.estimate.serving_speed.apart import Apart
from planner.estimate.serving_speed.deployment import Deployment, batch, narrowest_unit
from planner.estimate.serving_speed.latency_rows import (
    ENGINES,
    RowReader,
    cache_bytes,
    mean_lengths,
    milliseconds,
    model_name,
    requests_in_flight,
    whole_number,
)
from planner.estimate.serving_speed.schedule import Schedule

_DOES: Final[Mapping[str, str]] = {"prefill": "read prompts", "decode": "decode"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ApartRow:
    """A row that can be asked about, and what was measured."""

    apart: Apart
    tpot_s: float
    ttft_s: float
    group: str


def is_apart(row: Mapping[str, str]) -> bool:
    """Whether a row's prompts were read on GPUs of their own."""
    return row.get("mode") == "disagg"


def read_apart(reader: RowReader, row: Mapping[str, str]) -> ApartRow:
    """Both kinds of workers of a row; raises MissingFactError with the reason where they cannot be told."""
    for side, does in _DOES.items():
        if not (row.get(f"{side}_num_workers") or "").strip():
            raise MissingFactError(f"how many workers {does} is not said ({side}_num_workers is empty)")
    n_prefill, n_decode = (whole_number(row, f"{side}_num_workers") for side in _DOES)
    n_requests = requests_in_flight(row)
    if n_requests is None:
        raise MissingFactError("how many requests were in flight is not said")
    if row["backend"] not in ENGINES:
        raise MissingFactError(f"no step model for the engine {row['backend']!r}")
    prefill, decode = (
        _worker(reader, row, side, n_requests / n_workers)
        for side, n_workers in zip(_DOES, (n_prefill, n_decode), strict=True)
    )
    batch([prefill, decode])  # raises for what is unknown of the GPU
    return ApartRow(
        apart=Apart(
            prefill=prefill, decode=decode, n_prefill=n_prefill, n_decode=n_decode, n_requests=n_requests
        ),
        tpot_s=milliseconds(row, "silicon_tpot_ms"),
        ttft_s=milliseconds(row, "silicon_ttft_ms"),
        group="|".join((row["system"], row["model_path"], row.get("precision", ""), row["backend"])),
    )


def _worker(reader: RowReader, row: Mapping[str, str], side: str, n_requests: float) -> Deployment:
    if whole_number(row, f"{side}_pp_size") > 1:
        raise MissingFactError("pipeline stages are not timed yet")
    tensor, replicas = whole_number(row, f"{side}_tp_size"), whole_number(row, f"{side}_attention_dp_size")
    experts, n_gpus = whole_number(row, f"{side}_moe_ep_size"), tensor * replicas
    if n_gpus % experts:
        raise MissingFactError(f"{n_gpus} GPUs and {experts} expert ranks do not divide")
    precision, device = row.get("precision", ""), reader.device(row["system"])
    ranks = Parallel(tensor=n_gpus, attention_replicas=replicas, expert=experts)
    load = reader.load(model_name(row), precision, ranks)
    n_prompt, n_output = mean_lengths(row)
    return Deployment(
        load=load,
        accelerator=device,
        engine=row["backend"],
        n_requests=max(1.0, n_requests),
        n_prompt_tokens=n_prompt,
        n_output_tokens=n_output,
        cache_element_bytes=cache_bytes(device, row["backend"], precision),
        weight_unit=narrowest_unit(load),
        schedule=Schedule(has_known_settings=False),
    )
