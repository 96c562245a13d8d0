"""AIPerf's `profile_export_aiperf.json`, and the file of GenAI-Perf that it was made after.

Each metric has its unit beside it. What was asked stands under `input_config`, in AIPerf by groups (`loadgen`,
`endpoint`), in GenAI-Perf flat in one age and by groups of other names in another.
"""

from collections.abc import Mapping
from typing import Any, Final

from planner.readers.measurement_table import MeasurementTable
from planner.readers.measurements.format import MeasurementFormat
from planner.readers.measurements.given import Given
from planner.readers.measurements.numbers import at, number, words
from planner.readers.measurements.serving_fields import ServingLoad, mean_at_once, serving_table
from planner.readers.measurements.text import MeasurementText

_UNITS_S: Final = {
    "ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "seconds": 1.0, "milliseconds": 1e-3,
}  # fmt: skip
_METRICS: Final = frozenset(("time_to_first_token", "inter_token_latency", "output_sequence_length"))
_HELD: Final = (
    ("loadgen", "concurrency"), ("concurrency",), ("perf_analyzer", "stimulus", "concurrency"),
)  # fmt: skip
_RATES: Final = (
    ("loadgen", "request_rate"), ("request_rate",), ("perf_analyzer", "stimulus", "request_rate"),
)  # fmt: skip
_MODELS: Final = (
    ("endpoint", "model_names", 0), ("model_names", 0), ("model", 0), ("model",), ("formatted_model_name",),
)  # fmt: skip
_ENGINES: Final = (("endpoint", "backend"), ("backend",))


def _is_export(item: Mapping[str, Any]) -> bool:
    return "input_config" in item and bool(set(item) & _METRICS)


def _recognises(file: MeasurementText) -> bool:
    return any(_is_export(item) for item in file.objects or ())


def _read(file: MeasurementText, given: Given) -> MeasurementTable:
    return serving_table(file.name, [_load(item) for item in file.objects or () if _is_export(item)], given)


def _load(item: Mapping[str, Any]) -> ServingLoad:
    config = at(item, "input_config") or {}
    held = next((n for path in _HELD if (n := number(config, *path))), None)
    rate = next((n for path in _RATES if (n := number(config, *path))), None)
    return ServingLoad(
        engine=next((name for path in _ENGINES if (name := words(config, *path))), ""),
        model=next((name for path in _MODELS if (name := words(config, *path))), ""),
        n_prompt_tokens=number(item, "input_sequence_length", "avg"),
        n_output_tokens=number(item, "output_sequence_length", "avg"),
        ttft_s=_seconds(item, "time_to_first_token"),
        tpot_s=_seconds(item, "inter_token_latency"),
        n_at_once=None if rate else held,
        mean_at_once=mean_at_once(
            number(item, "request_throughput", "avg"), _seconds(item, "request_latency")
        ),
        n_answered=int(number(item, "request_count", "avg") or 0) or None,
        left_out=_trouble(item),
    )


def _seconds(item: Mapping[str, Any], metric: str) -> float | None:
    factor = _UNITS_S.get(words(item, metric, "unit"))
    found = number(item, metric, "avg")
    return None if factor is None or found is None else found * factor


def _trouble(item: Mapping[str, Any]) -> str:
    if at(item, "was_cancelled") is True:
        return "the run was cancelled"
    errors = number(item, "error_request_count", "avg") or 0
    return f"{errors:.0f} requests ended in errors" if errors else ""


FORMAT = MeasurementFormat(name="AIPerf or GenAI-Perf export", recognises=_recognises, read=_read)
