"""Results of SGLang's `python -m sglang.bench_serving --output-file`: JSON lines, one for each load.

Builds from 2025 on add what the server says of itself (`server_info`): model, ranks, drafting.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from planner.readers.measurement_table import MeasurementTable
from planner.readers.measurements.format import MeasurementFormat
from planner.readers.measurements.given import Given
from planner.readers.measurements.numbers import at, number, words
from planner.readers.measurements.serving_fields import ServingLoad, serving_table
from planner.readers.measurements.text import MeasurementText
from planner.readers.measurements.vllm_bench import timed_load


def _is_load(item: Mapping[str, Any]) -> bool:
    return "total_output_tokens_retokenized" in item or {"mean_e2e_latency_ms", "input_throughput"} <= set(
        item
    )


def _recognises(file: MeasurementText) -> bool:
    return any(_is_load(item) for item in file.objects or ())


def _read(file: MeasurementText, given: Given) -> MeasurementTable:
    return serving_table(file.name, [_load(item) for item in file.objects or () if _is_load(item)], given)


def _load(item: Mapping[str, Any]) -> ServingLoad:
    server = at(item, "server_info") or {}
    tensor, copies = number(server, "tp_size"), int(number(server, "dp_size") or 1)
    shares_attention = at(server, "enable_dp_attention") is True
    return replace(
        timed_load(item),
        engine=words(item, "backend"),
        model=words(server, "model_path") or words(item, "model_id"),
        tensor=None if tensor is None else int(tensor),
        attention_replicas=copies if shares_attention else 1,
        expert=int(number(server, "ep_size") or 1),
        left_out=_trouble(item, server, 1 if shares_attention else copies),
    )


def _trouble(item: Mapping[str, Any], server: Mapping[str, Any], n_copies: int) -> str:
    if not number(item, "completed"):
        return "no request was completed"
    if words(server, "speculative_algorithm") or (number(item, "accept_length") or 1) > 1:
        return "tokens were drafted, which is not timed yet"
    if n_copies > 1:
        return f"{n_copies} copies of the model shared the load, in shares that are not told"
    return ""


FORMAT = MeasurementFormat(name="SGLang bench_serving", recognises=_recognises, read=_read)
