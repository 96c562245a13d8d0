"""Rows of measured serving throughput as deployments: tokens per second of a whole server under a load.

Four kinds of loads have lengths and a number of requests: static batches (all prompts read together, then decoded
together; the tokens of both count), closed loops (so many requests in flight; what is answered counts, or both), the
decoding phase of closed loops alone, and queues (all requests asked at once, and taken in as there is room). Arrivals
at a rate and MLPerf's runs over a data set are none of them.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hardware.spec import Accelerator
from planner.engines.release import parse_release
from planner.engines.sharding import Parallel
from planner.engines.vllm.settings import LATEST, VllmSettings, batched_tokens, sequences
from planner.errors import MissingFactError
from planner.estimate.serving_speed.deployment import Deployment, batch, narrowest_unit
from planner.estimate.serving_speed.latency_rows import AS_PUBLISHED, MEMORY_SHARE, RowReader, pool_bytes
from planner.estimate.serving_speed.rate_loads import Load, RateLoads, rate_loads
from planner.estimate.serving_speed.row_sources import SourceDevice, source_device
from planner.estimate.serving_speed.schedule import Schedule
from planner.estimate.serving_speed.source_runs import source_settings

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
_ENGINES: Final[Mapping[str, str]] = {
    "vllm": "vllm",
    "sglang": "sglang",
    "tensorrt-llm": "trtllm",
    "trtllm": "trtllm",
}
_BATCH: Final = re.compile(r"(?:batch|B)=(\d+)", re.ASCII)
_LOOP: Final = re.compile(r"(?:conc|batchSize)=(\d+)", re.ASCII)
_QUEUE: Final = re.compile(r"n=(\d+) requests, rate inf", re.ASCII)
_MOST_LOAD: Final = "max load (offline)"
_INSTANCES: Final = re.compile(r"\binstances=(\d+)", re.ASCII)
_DRAFTED: Final = "SPEC-DECODE"
_DRAFT_TOKENS: Final = re.compile(
    r'"method"\s*:\s*"[a-z0-9_]*mtp"\s*,\s*"num_speculative_tokens"\s*:\s*(\d)\b', re.ASCII
)
# SGLang's attention replicas lie on the tensor ranks; tables that multiply both count its GPUs too often.
_SHARED_REPLICAS: Final = re.compile(r"--dp(?:-size)?[ =](\d+)\b", re.ASCII)
_SHARES_REPLICAS: Final = "--enable-dp-attention"
_STEP_TOKENS: Final = re.compile(r"--max-num-batched-tokens[ =](\d{2,6})\b", re.ASCII)
_CACHE: Final = re.compile(r"(?:\bkv=|--kv-cache-dtype[ =])(\w+)", re.ASCII)
# Bytes of a number in the cache, by the engines' names for how it is stored; others are not known.
_CACHE_BYTES: Final[Mapping[str, float]] = {
    "auto": 2.0, "bfloat16": 2.0, "fp8": 1.0, "fp8_e4m3": 1.0, "fp8_e5m2": 1.0, "int8_per_token_head": 1.0,
}  # fmt: skip
_DECODING: Final = "decode-phase"
_SELF_REPORTED: Final = "self-reported"
_REPLICATED: Final = "attention-DP"
# Of those runs, the most requests in flight of arrivals at a rate were written down (guidellm with --rate).
_AT_A_RATE: Final = re.compile(r"gpustack/.*-latency\.md", re.ASCII)
# Requests of a step at most: max_batch_size of TensorRT-LLM's LlmArgs; SGLang takes at least so many (model_runner.py,
# `max_num_reqs`).
_MOST_RUNNING: Final[Mapping[str, int]] = {"trtllm": 2048, "sglang": 2048}
# Words of a row for how weights are stored, as precisions are called here; words that are not here are not known.
_PRECISIONS: Final[Mapping[str, str]] = {
    "": AS_PUBLISHED, "bf16": "bf16", "fp16": "bf16", "fp8": "fp8", "fp8-static": "fp8", "nvfp4": "fp4", "fp4": "fp4",
    "mxfp4": AS_PUBLISHED, "int4": "int4", "awq": "int4", "gptq": "int4", "awq-4bit": "int4", "awq-int4": "int4",
    "bf16-v23": "bf16", "nvfp4-v23": "fp4",
}  # fmt: skip
# What tables call models, where the maker's name has other words.
_NAMES: Final = ((re.compile(r"LLaMA v(3\.\d)"), r"Llama-\1"), (re.compile(r"LLaMA v4 Maverick"), "Llama-4-Maverick-17B-128E"))  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class RateRow:
    """A row that can be asked about: copies of one deployment, the kind of load, and the rate that was measured."""

    deployment: Deployment
    n_copies: int
    load: Load
    counts_prompts: bool  # whether the tokens of prompts are in the rate
    has_varied_lengths: bool  # whether answers end where the model or a data set ends them
    is_self_reported: bool  # by anybody, without the run being written down
    tokens_per_s: float
    group: str
    n_running: (
        float  # of a copy's requests at once: all, or as many as its cache or the engine's limit has room for
    )

    @property
    def is_old(self) -> bool:
        """Whether an engine of another age than today's was measured."""
        return bool(self.deployment.age)


def read_rate(reader: RowReader, row: Mapping[str, str]) -> RateRow:
    """The deployment of a row; raises MissingFactError with the reason where it cannot be told."""
    engine = _engine(row)
    n_drafted = _draft_tokens(row)
    load, n_requests = _load(row)
    n_prompt, n_output = _tokens(row, "isl"), _tokens(row, "osl")
    said = source_settings(reader.source_runs, row, n_prompt, n_output)
    rate, counts_prompts = _rate(row)
    told = source_device(reader.sources, row.get("origin", ""), row["engine"], row["hardware"])
    ranks, n_copies = _split(row, told)
    device = reader.device(told.accelerator if told else _device_name(row["hardware"]))
    name, words = _model_name(row["model"]), row.get("quant", "").strip().casefold()
    if words not in _PRECISIONS:
        raise MissingFactError(f"how weights are stored as {words[:40]!r} is not known")
    spread = reader.load(name, AS_PUBLISHED if said.get("is_as_published") else _PRECISIONS[words], ranks)
    most_running, step_tokens = _limits(engine, device, row)
    if math.isinf(n_requests):
        n_requests = said.get("n_requests", n_requests)
    deployment = Deployment(
        load=spread,
        accelerator=device,
        engine=engine,
        n_requests=max(1.0, n_requests / n_copies),
        n_prompt_tokens=n_prompt,
        n_output_tokens=n_output,
        cache_element_bytes=said.get("cache_element_bytes") or _cache_bytes(row),
        weight_unit=narrowest_unit(spread),
        schedule=Schedule(
            has_known_settings=False,
            draft_tokens=n_drafted,
            most_running=int(said.get("most_running", most_running)),
            step_tokens=step_tokens,
        ),
        age=f"{said['engine_year']:.1f} {engine} {device.vendor}" if "engine_year" in said else "",
        pool_bytes=pool_bytes(device, spread, engine, said.get("memory_share", MEMORY_SHARE)),
    )
    of_replica = float(batch([deployment]).most_running[0])  # raises for what is unknown of the GPU
    replicas = ranks.attention_replicas
    return RateRow(
        deployment=deployment, n_copies=n_copies, load=load, counts_prompts=counts_prompts, tokens_per_s=rate,
        has_varied_lengths=bool(said.get("has_varied_lengths")),
        is_self_reported=row.get("scenario", "") == _SELF_REPORTED,
        group=f"{row['hardware']}|{row['model']}|{words}|{row['engine']}",
        n_running=min(deployment.n_requests, of_replica * replicas),
    )  # fmt: skip


def loads_of(rows: Sequence[RateRow]) -> RateLoads:
    """The loads of rows as arrays."""
    return rate_loads(
        [one.load for one in rows], [one.n_copies for one in rows],
        [
            one.deployment.n_output_tokens + (one.deployment.n_prompt_tokens if one.counts_prompts else 0)
            for one in rows
        ],
        [one.has_varied_lengths for one in rows],
    )  # fmt: skip


def _engine(row: Mapping[str, str]) -> str:
    name = row["engine"].strip()
    if not name:
        raise MissingFactError("the row does not name the engine")
    found = _ENGINES.get(name.casefold())
    if found is None:
        raise MissingFactError(f"no step model for the engine {name[:40]!r}")
    return found


def _draft_tokens(row: Mapping[str, str]) -> int:
    """Tokens that the model's own prediction layers draft, where the row's command line says so."""
    if _DRAFTED not in row.get("scenario", ""):
        return 0
    told = _DRAFT_TOKENS.search(row.get("notes", ""))
    if told is None:
        raise MissingFactError(
            "tokens were drafted, by what and with which success the row does not say in full"
        )
    return int(told[1])


def _load(row: Mapping[str, str]) -> tuple[Load, float]:
    text = row["concurrency_or_request_rate"].strip()
    if _AT_A_RATE.search(row.get("source", "")) and _LOOP.fullmatch(text):
        raise MissingFactError(
            f"requests arrived at a rate that the row does not say; {text} is the most at once"
        )
    if found := _BATCH.fullmatch(text):
        return "batch", float(found[1])
    if found := _LOOP.fullmatch(text):
        is_decoding = _DECODING in row.get("notes", "") or _DECODING in row.get("scenario", "")
        return ("decoding" if is_decoding else "loop"), float(found[1])
    if found := _QUEUE.fullmatch(text):
        return "queue", float(found[1])
    if text == _MOST_LOAD:
        return "queue", math.inf
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


def _device_name(hardware: str) -> str:
    return re.sub(r"\s+GPU$", "", hardware.strip())


def _model_name(text: str) -> str:
    for pattern, name in _NAMES:
        text = pattern.sub(name, text)
    return text.replace(" ", "-")


def _cache_bytes(row: Mapping[str, str]) -> float:
    """Of a number in the cache: 16 bits where the row does not say otherwise."""
    told = _CACHE.search(row.get("notes", ""))
    if told is None:
        return 2.0
    if told[1] not in _CACHE_BYTES:
        raise MissingFactError(f"how fast a cache stored as {told[1][:40]!r} is read is not known")
    return _CACHE_BYTES[told[1]]


def _limits(engine: str, device: Accelerator, row: Mapping[str, str]) -> tuple[int, int | None]:
    """Requests and tokens of a step by the engine's own limits, or as the row's command line says.

    A row without a version is taken for the newest; None for the tokens that such an engine takes by itself.
    """
    told = _STEP_TOKENS.search(row.get("notes", ""))
    if engine in _MOST_RUNNING:
        return _MOST_RUNNING[engine], int(told[1]) if told else None
    version = row.get("version", "").strip()
    settings = VllmSettings(version=parse_release(version) if version else LATEST)
    size, name = device.memory_bytes, device.name
    usual = batched_tokens(settings, 1, size, name)
    return sequences(settings, usual, size, name), int(told[1]) if told else usual


def _split(row: Mapping[str, str], told: SourceDevice | None) -> tuple[Parallel, int]:
    n_gpus = _at_least_1(row, "n_gpu") * (told.n_accelerators if told else 1)
    stages = _at_least_1(row, "pp")
    tensor = _at_least_1(row, "tp") if row.get("tp", "").strip() else max(1, n_gpus // stages)
    instances = _INSTANCES.search(row.get("notes", ""))
    n_copies = int(instances[1]) if instances else max(1, n_gpus // (tensor * stages))
    experts = tensor if row.get("ep", "").strip() == "yes" or _at_least_1(row, "ep") > 1 else 1
    replicas = tensor if _REPLICATED in row.get("scenario", "") else 1
    shared = _SHARED_REPLICAS.search(row.get("notes", ""))
    if shared and _SHARES_REPLICAS in row.get("notes", ""):
        replicas, n_copies = int(shared[1]), 1
    ranks = Parallel(tensor=tensor, pipeline=stages, expert=experts, attention_replicas=replicas)
    return ranks, max(1, n_copies)


def _at_least_1(row: Mapping[str, str], column: str) -> int:
    text = row.get(column, "").strip()
    try:
        return max(1, int(float(text))) if text else 1
    except (ValueError, OverflowError):
        raise MissingFactError(f"{column} is {text[:40]!r}, no number") from None
