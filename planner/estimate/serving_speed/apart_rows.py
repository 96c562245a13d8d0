"""Rows of measured latency where prompts were read and answers decoded on GPUs of their own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from planner.engines.sharding import Parallel
from planner.errors import MissingFactError
from planner.estimate.serving_speed.apart import Apart, Workers
from planner.estimate.serving_speed.apart_runs import ApartAsked, apart_run
from planner.estimate.serving_speed.deployment import Deployment, batch, narrowest_unit
from planner.estimate.serving_speed.fabric import Fabric
from planner.estimate.serving_speed.latency_rows import (
    ENGINES,
    NODE_GPUS,
    RACKS,
    RowReader,
    cache_bytes,
    image,
    is_inferencex,
    mean_lengths,
    measured_day,
    milliseconds,
    model_name,
    requests_in_flight,
    whole_number,
)
from planner.estimate.serving_speed.schedule import Schedule

# Of one GPU: 400 Gbit/s on every such system (inferencex.semianalysis.com/gpu-specs, Scale Out BW per GPU).
_NETWORK_BYTES_PER_S: Final = 50e9
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
    n_requests = requests_in_flight(row)
    if n_requests is None:
        raise MissingFactError("how many requests were in flight is not said")
    if row["backend"] not in ENGINES:
        raise MissingFactError(f"no step model for the engine {row['backend']!r}")
    sides, n_drafted = _workers(reader, row, n_requests)
    prefill, decode = (
        _worker(reader, row, workers.ranks, n_requests / workers.count, n_drafted) for workers in sides
    )
    batch([prefill, decode])  # raises for what is unknown of the GPU
    return ApartRow(
        apart=Apart(
            prefill=prefill, decode=decode, n_prefill=sides[0].count, n_decode=sides[1].count, n_requests=n_requests
        ),
        tpot_s=milliseconds(row, "silicon_tpot_ms"),
        ttft_s=milliseconds(row, "silicon_ttft_ms"),
        group="|".join((row["system"], row["model_path"], row.get("precision", ""), row["backend"])),
    )  # fmt: skip


def _workers(
    reader: RowReader, row: Mapping[str, str], n_requests: float
) -> tuple[tuple[Workers, Workers], int]:
    """The workers of both sides and the tokens drafted: what the row says, else what its public configuration does."""
    said = {side: bool((row.get(f"{side}_num_workers") or "").strip()) for side in _DOES}
    if any(said.values()):
        for side, does in _DOES.items():
            if not said[side]:
                raise MissingFactError(f"how many workers {does} is not said ({side}_num_workers is empty)")
        prefill, decode = (
            Workers(count=whole_number(row, f"{side}_num_workers"), ranks=_ranks(row, side)) for side in _DOES
        )
        return (prefill, decode), 0
    day = measured_day(row)
    if not is_inferencex(row) or day is None:
        raise MissingFactError("how many workers read prompts is not said (prefill_num_workers is empty)")
    asked = ApartAsked(
        system=row["system"], model=model_name(row), precision=row.get("precision", ""), engine=row["backend"],
        n_prompt=whole_number(row, "isl"), n_output=whole_number(row, "osl"), n_requests=round(n_requests),
        image=image(row), day=day, prefill_gpus=_n_gpus(row, "prefill"),
        prefill_experts=whole_number(row, "prefill_moe_ep_size"), decode_gpus=_n_gpus(row, "decode"),
    )  # fmt: skip
    run = apart_run(reader.apart_runs, asked)
    return (run.prefill, run.decode), run.draft_tokens or 0


def _n_gpus(row: Mapping[str, str], side: str) -> int:
    return whole_number(row, f"{side}_tp_size") * whole_number(row, f"{side}_attention_dp_size")


def _ranks(row: Mapping[str, str], side: str) -> Parallel:
    replicas, experts = (
        whole_number(row, f"{side}_attention_dp_size"),
        whole_number(row, f"{side}_moe_ep_size"),
    )
    n_gpus = _n_gpus(row, side)
    if n_gpus % experts:
        raise MissingFactError(f"{n_gpus} GPUs and {experts} expert ranks do not divide")
    return Parallel(
        tensor=n_gpus,
        pipeline=whole_number(row, f"{side}_pp_size"),
        attention_replicas=replicas,
        expert=experts,
    )


def _worker(
    reader: RowReader, row: Mapping[str, str], ranks: Parallel, n_requests: float, n_drafted: int
) -> Deployment:
    precision, device = row.get("precision", ""), reader.device(row["system"])
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
        schedule=Schedule(has_known_settings=False, draft_tokens=n_drafted),
        fabric=_fabric(row),
    )


def _fabric(row: Mapping[str, str]) -> Fabric | None:
    """What joins the machines of eight GPUs that InferenceX ran such workers on; None within a rack of one link domain."""
    if row["system"] in RACKS or not is_inferencex(row):
        return None
    return Fabric(gpus_per_machine=NODE_GPUS, bytes_per_s=_NETWORK_BYTES_PER_S)
