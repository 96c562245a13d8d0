"""GuideLLM's report, `benchmarks.json` (0.2 to 0.7): one load for each benchmark of a sweep.

Its time per output token counts the first token's wait; the time between tokens is `inter_token_latency_ms`. Until
0.3 the strategy stands under `args`, from 0.4 on under `config`.
"""

from collections.abc import Mapping
from typing import Any

from hardware.units import MILLI
from planner.readers.measurement_table import MeasurementTable
from planner.readers.measurements.format import MeasurementFormat
from planner.readers.measurements.given import Given
from planner.readers.measurements.numbers import at, number, words
from planner.readers.measurements.serving_fields import ServingLoad, serving_table
from planner.readers.measurements.text import MeasurementText


def _benchmarks(file: MeasurementText) -> list[Mapping[str, Any]]:
    listed = [at(item, "benchmarks") for item in file.objects or ()]
    return [
        one
        for several in listed
        if isinstance(several, list)
        for one in several
        if isinstance(at(one, "metrics", "time_to_first_token_ms"), Mapping)
    ]


def _recognises(file: MeasurementText) -> bool:
    return bool(_benchmarks(file))


def _read(file: MeasurementText, given: Given) -> MeasurementTable:
    whole = (file.objects or ({},))[0]
    return serving_table(file.name, [_load(one, whole) for one in _benchmarks(file)], given)


def _load(one: Mapping[str, Any], whole: Mapping[str, Any]) -> ServingLoad:
    def mean(metric: str) -> float | None:
        return number(one, "metrics", metric, "successful", "mean")

    strategy = at(one, "config", "strategy") or at(one, "args", "strategy") or {}
    ttft, between = mean("time_to_first_token_ms"), mean("inter_token_latency_ms")
    return ServingLoad(
        engine=words(one, "worker", "backend_info", "engine"),
        model=_model(one, whole),
        n_prompt_tokens=mean("prompt_token_count"),
        n_output_tokens=mean("output_token_count"),
        ttft_s=None if ttft is None else ttft * MILLI,
        tpot_s=None if between is None else between * MILLI,
        n_at_once=_held(strategy),
        mean_at_once=mean("request_concurrency"),
        n_answered=_answered(one),
        left_out=_trouble(one),
    )


def _held(strategy: Mapping[str, Any]) -> float | None:
    """Requests that the strategy holds in flight; None for one that sends at a rate, or all at once."""
    kind = words(strategy, "type_") or words(strategy, "kind")
    if kind == "synchronous":
        return 1.0
    if kind == "concurrent":
        return next((n for name in ("streams", "max_concurrency") if (n := number(strategy, name))), None)
    return None


def _model(one: Mapping[str, Any], whole: Mapping[str, Any]) -> str:
    places = (
        (one, ("worker", "backend_model")),
        (one, ("config", "backend", "model")),
        (one, ("config", "requests", "model")),
        (whole, ("args", "model")),
        (whole, ("config", "model")),
        (whole, ("config", "backend", "model")),
    )
    return next((name for record, path in places if (name := words(record, *path))), "")


def _totals(one: Mapping[str, Any]) -> Any:
    return (
        at(one, "metrics", "request_totals")
        or at(one, "request_totals")
        or at(one, "run_stats", "requests_made")
    )


def _answered(one: Mapping[str, Any]) -> int | None:
    done = number(_totals(one), "successful")
    return int(done) if done else None


def _trouble(one: Mapping[str, Any]) -> str:
    totals = _totals(one)
    done, errors = number(totals, "successful"), number(totals, "errored") or 0
    if done is not None and not done:
        return "no request was completed"
    return f"{errors:.0f} requests ended in errors" if errors else ""


FORMAT = MeasurementFormat(name="GuideLLM report", recognises=_recognises, read=_read)
