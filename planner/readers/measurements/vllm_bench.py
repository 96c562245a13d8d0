"""Results of `vllm bench serve --save-result` (benchmark_serving.py before 2025), and of its `throughput` and `latency`.

`serve` talks to any server, so `backend` ("openai") seldom names the engine. What runs say of their GPUs is what was
passed as `--metadata`. `throughput` and `latency` time whole batches, in which prompts and generation are one.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from hardware.units import MILLI
from planner.readers.measurement_table import MeasurementTable
from planner.readers.measurements.format import MeasurementFormat
from planner.readers.measurements.given import Given
from planner.readers.measurements.numbers import number, words
from planner.readers.measurements.serving_fields import ServingLoad, mean_at_once, serving_table
from planner.readers.measurements.text import MeasurementText

_THROUGHPUT: Final = frozenset(("elapsed_time", "num_requests", "tokens_per_second"))
_LATENCY: Final = frozenset(("avg_latency", "latencies", "percentiles"))
_WHOLE: Final = "a whole batch was timed: neither a token nor the first one can be told; use vllm bench serve"
_RANKS: Final = ("tensor_parallel_size", "tp_size", "tp")


def _is_load(item: Mapping[str, Any]) -> bool:
    return {"mean_ttft_ms", "total_input_tokens"} <= set(item) and bool(
        {"model_id", "tokenizer_id"} & set(item)
    )


def _is_whole(item: Mapping[str, Any]) -> bool:
    return set(item) >= _THROUGHPUT or set(item) >= _LATENCY


def _recognises(file: MeasurementText) -> bool:
    return any(_is_load(item) or _is_whole(item) for item in file.objects or ())


def _read(file: MeasurementText, given: Given) -> MeasurementTable:
    found = [_load(item) for item in file.objects or () if _is_load(item) or _is_whole(item)]
    return serving_table(file.name, found, given)


def _load(item: Mapping[str, Any]) -> ServingLoad:
    if _is_whole(item):
        return ServingLoad(
            engine="vllm", model=words(item, "model_id"), n_prompt_tokens=None, n_output_tokens=None, ttft_s=None,
            tpot_s=None, n_at_once=None, left_out=_WHOLE,
        )  # fmt: skip
    tensor = next((n for name in _RANKS if (n := number(item, name))), None)
    return replace(
        timed_load(item),
        engine=words(item, "backend") or words(item, "endpoint_type"),
        model=words(item, "model_id") or words(item, "tokenizer_id"),
        tensor=None if tensor is None else int(tensor),
        left_out=_trouble(item, number(item, "completed")),
    )


def timed_load(item: Mapping[str, Any]) -> ServingLoad:
    """Lengths, times and requests in flight, whose names SGLang's tool shares; the rest is left open."""
    completed = number(item, "completed")
    prompt, output = (
        None if total is None or not completed else total / completed
        for total in (number(item, "total_input_tokens"), number(item, "total_output_tokens"))
    )
    ttft, tpot = (
        None if value is None else value * MILLI
        for value in (number(item, "mean_ttft_ms"), number(item, "mean_tpot_ms"))
    )
    request_s = None
    if ttft is not None and tpot is not None and output is not None:
        request_s = ttft + (output - 1) * tpot
    # Without a limit all are asked at once.
    at_once = (number(item, "max_concurrency") or completed) if _is_endless(item) else None
    return ServingLoad(
        engine="",
        model="",
        n_prompt_tokens=prompt,
        n_output_tokens=output,
        ttft_s=ttft,
        tpot_s=tpot,
        n_at_once=at_once if at_once is None or not completed else min(at_once, completed),
        n_answered=int(completed) if completed else None,
        mean_at_once=number(item, "concurrency")
        or mean_at_once(number(item, "request_throughput"), request_s),
    )


def _is_endless(item: Mapping[str, Any]) -> bool:
    """Whether requests waited for nothing but a place: no rate, at most a limit."""
    rate = item.get("request_rate", "inf")
    return str(rate).casefold() in ("inf", "infinity", "none")


def _trouble(item: Mapping[str, Any], completed: float | None) -> str:
    if not completed:
        return "no request was completed"
    failed = number(item, "failed") or 0
    asked = number(item, "num_prompts")
    if failed > 0 or (asked is not None and completed < asked):
        return f"only {completed:.0f} of {max(asked or 0, completed + failed):.0f} requests were completed"
    return ""


FORMAT = MeasurementFormat(name="vLLM benchmark", recognises=_recognises, read=_read)
