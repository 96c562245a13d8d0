"""Rows of measured serving throughput as deployments: tokens per second of a whole server under a load.

Three kinds of loads have lengths and a number of requests: static batches (all prompts read together, then decoded
together; the tokens of both count), closed loops (so many requests in flight; what is answered counts, or both), and the
decoding phase of closed loops alone. Arrivals at a rate and MLPerf's runs over a data set are none of them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from planner.engines.sharding import Parallel
from planner.errors import MissingFactError
from planner.estimate.serving_speed.deployment import Deployment, batch, narrowest_unit
from planner.estimate.serving_speed.latency_rows import AS_PUBLISHED, RowReader
from planner.estimate.serving_speed.schedule import Schedule

COLUMNS: Final = (
    "hardware",
    "n_gpu",
    "engine",
    "model",
    "isl",
    "osl",
    "concurrency_or_request_rate",
    "total_tok_s",
    "output_tok_s",
)
Load = Literal["batch", "loop", "decoding"]
_ENGINES: Final[Mapping[str, str]] = {
    "vllm": "vllm",
    "sglang": "sglang",
    "tensorrt-llm": "trtllm",
    "trtllm": "trtllm",
}
_BATCH: Final = re.compile(r"(?:batch|B)=(\d+)", re.ASCII)
_LOOP: Final = re.compile(r"(?:conc|batchSize)=(\d+)", re.ASCII)
_INSTANCES: Final = re.compile(r"\binstances=(\d+)", re.ASCII)
_DRAFTED: Final = "SPEC-DECODE"
_DECODING: Final = "decode-phase"
# Words of a row for how weights are stored, as precisions are called here; words that are not here are not known.
_PRECISIONS: Final[Mapping[str, str]] = {
    "": AS_PUBLISHED, "bf16": "bf16", "fp16": "bf16", "fp8": "fp8", "fp8-static": "fp8", "nvfp4": "fp4", "fp4": "fp4",
    "mxfp4": AS_PUBLISHED, "int4": "int4", "awq": "int4", "gptq": "int4", "awq-4bit": "int4", "awq-int4": "int4",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class RateRow:
    """A row that can be asked about: copies of one deployment, the kind of load, and the rate that was measured."""

    deployment: Deployment
    n_copies: int
    load: Load
    counts_prompts: bool  # whether the tokens of prompts are in the rate
    tokens_per_s: float
    group: str


def read_rate(reader: RowReader, row: Mapping[str, str]) -> RateRow:
    """The deployment of a row; raises MissingFactError with the reason where it cannot be told."""
    engine = _ENGINES.get(row["engine"].strip().casefold())
    if engine is None:
        raise MissingFactError(f"no step model for the engine {row['engine'][:40]!r}")
    if _DRAFTED in row.get("scenario", ""):
        raise MissingFactError(
            "tokens were drafted, by what and with which success the row does not say in full"
        )
    load, n_requests = _load(row)
    n_prompt, n_output = _tokens(row, "isl"), _tokens(row, "osl")
    rate, counts_prompts = _rate(row)
    ranks, n_copies = _split(row)
    device = reader.device(re.sub(r"\s+GPU$", "", row["hardware"].strip()))
    name, words = row["model"], row.get("quant", "").strip().casefold()
    if words not in _PRECISIONS:
        raise MissingFactError(f"how weights are stored as {words[:40]!r} is not known")
    spread = reader.load(name, _PRECISIONS[words], ranks)
    deployment = Deployment(
        load=spread,
        accelerator=device,
        engine=engine,
        n_requests=max(1.0, n_requests / n_copies),
        n_prompt_tokens=n_prompt,
        n_output_tokens=n_output,
        weight_unit=narrowest_unit(spread),
        schedule=Schedule(has_known_settings=False),
    )
    batch([deployment])  # raises for what is unknown of the GPU
    group = f"{row['hardware']}|{name}|{words}|{row['engine']}"
    return RateRow(
        deployment=deployment, n_copies=n_copies, load=load, counts_prompts=counts_prompts, tokens_per_s=rate,
        group=group,
    )  # fmt: skip


def answered_per_s(
    row: RateRow, ttft_s: float, tpot_s: float, decode_step_s: float, prompt_step_s: float
) -> float:
    """Tokens per second that the row's load makes of a deployment's times."""
    one = row.deployment
    n, n_in, n_out = one.n_requests, one.n_prompt_tokens, one.n_output_tokens
    if row.load == "batch":
        per_replica = n / one.load.ranks.attention_replicas
        seconds = per_replica * prompt_step_s + (n_out - 1) * decode_step_s
    else:
        seconds = (n_out - 1) * tpot_s + (0.0 if row.load == "decoding" else ttft_s)
    counted = n_out + n_in if row.counts_prompts else n_out
    return row.n_copies * n * counted / max(seconds, tpot_s)


def _load(row: Mapping[str, str]) -> tuple[Load, float]:
    text = row["concurrency_or_request_rate"].strip()
    if found := _BATCH.fullmatch(text):
        return "batch", float(found[1])
    if found := _LOOP.fullmatch(text):
        is_decoding = _DECODING in row.get("notes", "") or _DECODING in row.get("scenario", "")
        return ("decoding" if is_decoding else "loop"), float(found[1])
    raise MissingFactError(f"{text[:40]!r} is neither a static batch nor a number of requests in flight")


def _tokens(row: Mapping[str, str], column: str) -> int:
    try:
        value = round(float(row[column]))
    except (ValueError, OverflowError):
        value = 0
    if value < 1:
        raise MissingFactError(f"{column} is {row[column][:40]!r}, no number of tokens")
    return value


def _rate(row: Mapping[str, str]) -> tuple[float, bool]:
    for column, counts_prompts in (("output_tok_s", False), ("total_tok_s", True)):
        try:
            value = float(row[column])
        except ValueError:
            continue
        if 0 < value < float("inf"):
            return value, counts_prompts
    raise MissingFactError("neither output_tok_s nor total_tok_s is a rate")


def _split(row: Mapping[str, str]) -> tuple[Parallel, int]:
    n_gpus = _at_least_1(row, "n_gpu")
    if _at_least_1(row, "pp") > 1:
        raise MissingFactError("pipeline stages are not timed yet")
    tensor = _at_least_1(row, "tp") if row.get("tp", "").strip() else n_gpus
    told = _INSTANCES.search(row.get("notes", ""))
    n_copies = int(told[1]) if told else max(1, n_gpus // tensor)
    experts = tensor if _at_least_1(row, "ep") > 1 else 1
    return replace(Parallel(), tensor=tensor, expert=experts), max(1, n_copies)


def _at_least_1(row: Mapping[str, str], column: str) -> int:
    text = row.get(column, "").strip()
    try:
        return max(1, int(float(text))) if text else 1
    except (ValueError, OverflowError):
        raise MissingFactError(f"{column} is {text[:40]!r}, no number") from None
