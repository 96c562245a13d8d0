"""One load on a serving engine, whoever generated it, as a row of a table of latencies."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hardware.units import MILLI
from planner.quoting import quoted
from planner.readers.measurement_table import MeasurementTable
from planner.readers.measurements.given import Given, needed

COLUMNS: Final = (
    "backend", "model_path", "system", "precision", "mode", "isl", "osl", "batch_size", "tp_size", "attention_dp_size",
    "moe_ep_size", "n_answered", "silicon_ttft_ms", "silicon_tpot_ms", "left_out", "ttft_left_out",
)  # fmt: skip
AS_PUBLISHED: Final = "published"
_ENGINES: Final = (("vllm", "vllm"), ("sglang", "sglang"), ("trt", "trtllm"), ("tensorrt", "trtllm"))
OPEN_LOOP: Final = "requests arrived at a rate, not a fixed number at once"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingLoad:
    """What a load generator found: mean lengths and mean times; None where it does not say."""

    engine: str  # as the tool names what it talked to; "openai" says nothing of the engine
    model: str
    n_prompt_tokens: float | None
    n_output_tokens: float | None
    ttft_s: float | None
    tpot_s: float | None  # between tokens, without the first
    n_at_once: float | None  # requests that were held in flight
    mean_at_once: float | None = None  # in flight on average, where nothing held them
    n_answered: int | None = None  # requests in all
    tensor: int | None = None
    attention_replicas: int = 1
    expert: int = 1
    left_out: str = ""


def serving_table(name: str, loads: Sequence[ServingLoad], given: Given) -> MeasurementTable:
    """The rows of a file's loads."""
    return MeasurementTable(name=name, columns=COLUMNS, rows=tuple(_row(name, one, given) for one in loads))


def _row(file: str, load: ServingLoad, given: Given) -> dict[str, str]:
    engine = engine_name(given.engine or load.engine)
    model = needed(given.model or load.model, file, "which model was served", "--model")
    device = needed(
        given.device_name, file, "which GPUs served it", "--device, such as --device '4x H100 SXM'"
    )
    engine = needed(engine, file, "which engine served it", "--engine vllm, sglang or trtllm")
    n_gpus = load.tensor or given.n_devices or 1
    if n_gpus % load.attention_replicas:
        n_gpus = load.attention_replicas  # told by the reader of the row, which asks for what divides
    at_once = load.n_at_once or load.mean_at_once
    return {
        "backend": engine,
        "model_path": model,
        "system": device,
        "precision": given.quantization or AS_PUBLISHED,
        "mode": "agg",
        "isl": _rounded(load.n_prompt_tokens),
        "osl": _rounded(load.n_output_tokens),
        "batch_size": _rounded(None if at_once is None else at_once / load.attention_replicas),
        "tp_size": str(n_gpus // load.attention_replicas),
        "attention_dp_size": str(load.attention_replicas),
        "moe_ep_size": str(load.expert),
        "n_answered": "" if load.n_answered is None else str(load.n_answered),
        "silicon_ttft_ms": _milliseconds(load.ttft_s),
        "silicon_tpot_ms": _milliseconds(load.tpot_s),
        "left_out": load.left_out
        or ("" if at_once else f"it does not say how many requests ran at once in {quoted(file)}"),
        "ttft_left_out": "" if load.n_at_once else OPEN_LOOP,
    }


def engine_name(text: str) -> str:
    """The engine that a tool's name for its target means: "sglang-oai-chat" is SGLang; "openai" could be any."""
    name = text.strip().casefold()
    return next((engine for start, engine in _ENGINES if name.startswith(start)), "")


def _rounded(value: float | None) -> str:
    return "" if value is None else f"{max(1.0, value):.0f}"


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds / MILLI:.12g}"


def mean_at_once(requests_per_s: float | None, request_s: float | None) -> float | None:
    """Requests in flight on average: those that come in a second times the seconds each stays (Little's law)."""
    return None if requests_per_s is None or request_s is None else requests_per_s * request_s
