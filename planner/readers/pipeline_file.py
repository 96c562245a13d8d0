"""A pipeline of models in a TOML file: its traffic, and each stage with what may run it; docs/costs.md describes the keys."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from planner.errors import MalformedError
from planner.quoting import quoted
from planner.readers.byte_source import read_bounded
from planner.workload.lengths import Lengths, parse_lengths
from planner.workload.slo import parse_slo
from planner.workload.workload import Objective

MAX_BYTES = 256 * 1024
MOST_STAGES = 20
_MOST_RUNNERS = 20
_TOP = ("name", "tasks_per_month", "growth_per_year", "stage")
_STAGE = (
    "name", "passes", "api", "model", "on", "deals", "tasks_per_s", "prompt_tokens", "output_tokens", "thinking_tokens",
    "shared_prefix_tokens", "samples", "slo",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class StageAsk:
    """A stage as the file has it: tokens of one call, who may run it, and what it passes on."""

    name: str
    passes: Mapping[str, float]
    apis: tuple[str, ...]  # PROVIDER/MODEL
    model: str | None  # that runs on own machines
    machines: tuple[str, ...]
    deals: tuple[str, ...]
    tasks_per_s: str | None  # of one machine, "2(1.5-2.4)"
    prompt: Lengths
    output: Lengths
    thinking: Lengths
    shared_prefix_tokens: int
    samples: int
    objectives: tuple[Objective, ...]  # of one call on own machines


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineAsk:
    """The whole file."""

    name: str
    tasks_per_month: float
    growth_per_year: float
    stages: tuple[StageAsk, ...]


def read_pipeline(path: Path) -> PipelineAsk:
    """The pipeline in a file; ReadError, one line that names the stage and key, for anything else."""
    return parse_pipeline(read_bounded(path, MAX_BYTES), quoted(path))


def parse_pipeline(data: bytes, shown: str) -> PipelineAsk:
    """The pipeline in the bytes of a file; `shown` stands in messages, already quoted."""
    try:
        document = tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"{shown} is not readable as TOML: {quoted(error)[1:-1]}") from error
    _known(document, _TOP, shown)
    stages = document.get("stage")
    if not isinstance(stages, list) or not 1 <= len(stages) <= MOST_STAGES:
        raise MalformedError(f"{shown}: expected 1 to {MOST_STAGES} tables [[stage]]")
    return PipelineAsk(
        name=_text(document.get("name", "pipeline"), f"{shown}: name"),
        tasks_per_month=_number(document.get("tasks_per_month"), f"{shown}: tasks_per_month", 1e-6, 1e15),
        growth_per_year=_number(document.get("growth_per_year", 0), f"{shown}: growth_per_year", -0.95, 99),
        stages=tuple(_stage(found, f"{shown}, stage {index + 1}") for index, found in enumerate(stages)),
    )


def _stage(found: Any, what: str) -> StageAsk:
    if not isinstance(found, Mapping):
        raise MalformedError(f"{what} is no table")
    _known(found, _STAGE, what)
    passes = found.get("passes", {})
    if not isinstance(passes, Mapping):
        raise MalformedError(f"{what}: passes is no table such as {{ worker = 0.8 }}")
    apis, machines = _texts(found, "api", what), _texts(found, "on", what)
    model = None if found.get("model") is None else _text(found["model"], f"{what}: model")
    speed = found.get("tasks_per_s")
    if machines and model is None and speed is None:
        raise MalformedError(f"{what}: machines need the model that runs on them, or tasks_per_s")
    if not apis and not machines:
        raise MalformedError(f"{what}: nothing runs it; give api or on")
    return StageAsk(
        name=_text(found.get("name"), f"{what}: name"),
        passes={str(key)[:80]: _number(share, f"{what}: passes", 0, 100) for key, share in passes.items()},
        apis=apis,
        model=model,
        machines=machines,
        deals=_texts(found, "deals", what),
        tasks_per_s=None if speed is None else str(speed)[:80],
        prompt=_lengths(found, "prompt_tokens", what),
        output=_lengths(found, "output_tokens", what),
        thinking=_lengths(found, "thinking_tokens", what, least=0),
        shared_prefix_tokens=int(
            _number(found.get("shared_prefix_tokens", 0), f"{what}: shared_prefix_tokens", 0, 1e8)
        ),
        samples=int(_number(found.get("samples", 1), f"{what}: samples", 1, 999)),
        objectives=_objectives(found, what),
    )


def _known(table: Mapping[str, Any], keys: Sequence[str], what: str) -> None:
    for key in table:
        if key not in keys:
            near = get_close_matches(str(key)[:60], keys, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(keys)}"
            raise MalformedError(f"{what}: no key {quoted(key)}; {hint}")


def _texts(found: Mapping[str, Any], key: str, what: str) -> tuple[str, ...]:
    value = found.get(key, [])
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or len(values) > _MOST_RUNNERS:
        raise MalformedError(f"{what}: {key} is not a text or a list of at most {_MOST_RUNNERS}")
    return tuple(_text(one, f"{what}: {key}") for one in values)


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise MalformedError(f"{what} is {quoted(value)}; expected text")
    return " ".join(value.split())[:200]


def _number(value: Any, what: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise MalformedError(f"{what} is {quoted(value)}; expected a number from {low:g} to {high:g}")
    return float(value)


def _objectives(found: Mapping[str, Any], what: str) -> tuple[Objective, ...]:
    texts = _texts(found, "slo", what)
    try:
        return parse_slo(", ".join(texts)) if texts else ()
    except ValueError as error:
        raise MalformedError(f"{what}: slo: {error}") from error


def _lengths(found: Mapping[str, Any], key: str, what: str, least: int = 1) -> Lengths:
    value = found.get(key, "0" if least == 0 else None)
    try:
        return parse_lengths(str(value), least=least)
    except ValueError as error:
        raise MalformedError(f"{what}: {key}: {error}") from error
