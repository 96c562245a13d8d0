"""Load tests that are kept: a list, a comparison, and results as `vllm bench serve` saves them."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hardware.units import MILLI
from planner.load.load_summary import LoadLevel, Percentiles
from planner.load.load_test import LoadTest
from planner.report.document import Document, Table
from planner.report.load_document import load_data, seconds
from planner.report.outside_text import plain
from planner.report.quantities import rate

Kept = Sequence[tuple[str, LoadTest]]


def loads_table(tests: Kept) -> Table:
    """Kept load tests, newest first."""
    rows = [
        (
            test_id,
            test.measured_at[:16].replace("T", " "),
            plain(test.model),
            test.engine or plain(test.software or "unknown"),
            plain(test.question.device) or "not said",
            _found(test),
        )
        for test_id, test in reversed(tests)
    ]
    return Table(
        title="Load tests",
        headers=("id", "measured (UTC)", "model", "engine", "served by", "requests/s"),
        rows=tuple(rows),
    )


def _found(test: LoadTest) -> str:
    if test.knee is not None:
        more = "" if test.knee.is_reached else " or more"
        return f"{rate(test.knee.requests_per_s)}{more}, knee at {test.knee.concurrency:.1f}"
    return ", ".join(f"{_load(level)} {rate(level.requests_per_s)}" for level in test.levels)


def _load(level: LoadLevel) -> str:
    return f"x{level.concurrency}" if level.concurrency else f"{rate(level.offered_per_s or 0)}/s:"


_COMPARED: Mapping[str, tuple[Callable[[LoadLevel], float | None], Callable[[float], str]]] = {
    "requests/s": (lambda level: level.requests_per_s, rate),
    "output tok/s": (lambda level: level.output_tokens_per_s, rate),
    "TTFT p50": (lambda level: _percentile(level.ttft, 50), seconds),
    "TTFT p95": (lambda level: _percentile(level.ttft, 95), seconds),
    "TPOT p50": (lambda level: _percentile(level.tpot, 50), seconds),
    "E2E p95": (lambda level: _percentile(level.e2e, 95), seconds),
}


def _percentile(found: Percentiles | None, percent: int) -> float | None:
    return None if found is None else found.of(percent)


def load_comparison_document(tests: Kept) -> Document:
    """Load tests side by side, level by level, relative to the first."""
    rows = []
    if all(test.knee for _, test in tests):
        rows.append(
            _row("capacity, req/s", [t.knee.requests_per_s if t.knee else None for _, t in tests], rate)
        )
        rows.append(_row("knee, at once", [t.knee.concurrency if t.knee else None for _, t in tests], rate))
    names = dict.fromkeys(_load(level) for _, test in tests for level in test.levels)
    for name in names:
        found = [next((one for one in test.levels if _load(one) == name), None) for _, test in tests]
        rows += [
            _row(f"{name.rstrip(':')} {what}", [None if one is None else value(one) for one in found], show)
            for what, (value, show) in _COMPARED.items()
        ]
    return Document(
        schema="planner.load_compare/1",
        title="Load tests compared",
        answer=tuple(f"{test_id}: {_described(test)}." for test_id, test in tests),
        tables=(
            Table(
                title="",
                headers=("load", *(test_id for test_id, _ in tests)),
                rows=tuple(rows),
                right=tuple(range(1, len(tests) + 1)),
            ),
        ),
        notes=_differences([test for _, test in tests]),
        data={"tests": [{"id": test_id, **load_data(test)} for test_id, test in tests]},
    )


def _row(name: str, values: Sequence[float | None], show: Callable[[float], str]) -> tuple[str, ...]:
    first = values[0]
    cells = []
    for index, value in enumerate(values):
        if value is None:
            cells.append("–")
        elif index and first:
            cells.append(f"{show(value)} ({value / first - 1:+.1%})")
        else:
            cells.append(show(value))
    return name, *cells


def _described(test: LoadTest) -> str:
    engine = " ".join(filter(None, (test.engine, plain(test.engine_build))))
    served = f" on {plain(test.question.device)}" if test.question.device else ""
    by = f" by {engine}" if engine else ""
    return f"{plain(test.model)}{by}{served}, {test.measured_at[:16].replace('T', ' ')} UTC"


_FACTS: Mapping[str, Callable[[LoadTest], object]] = {
    "model": lambda test: test.model,
    "engine": lambda test: (test.engine, test.engine_build),
    "device": lambda test: test.question.device,
    "call": lambda test: test.call,
    "prompt lengths": lambda test: str(test.question.prompt),
    "answer lengths": lambda test: str(test.question.output),
    "shared prefix": lambda test: test.question.n_shared_prefix_tokens,
}


def _differences(tests: Sequence[LoadTest]) -> tuple[str, ...]:
    """What else differs, so that nobody takes it for the cause that they look for."""
    differing = [name for name, fact in _FACTS.items() if len({fact(test) for test in tests}) > 1]
    return (f"the tests differ in: {', '.join(differing)}",) if differing else ()


def as_vllm(tests: Sequence[LoadTest]) -> str:
    """A JSON list with an object for each level, as `vllm bench serve --save-result --save-detailed` names things."""
    return json.dumps([_vllm(test, level) for test in tests for level in test.levels], indent=1)


def _vllm(test: LoadTest, level: LoadLevel) -> dict[str, Any]:
    n = level.n_good
    requests = level.requests
    return {
        "date": test.measured_at,
        "backend": test.engine or "openai",
        "endpoint_type": "openai-chat" if test.call == "chat" else "openai",
        "model_id": test.model,
        "tokenizer_id": test.model,
        "num_prompts": n + level.n_failed,
        "request_rate": "inf" if level.concurrency else level.offered_per_s,
        "max_concurrency": level.concurrency,
        "duration": level.window_s,
        "completed": n,
        "failed": level.n_failed,
        "total_input_tokens": round(level.mean_prompt_tokens * n),
        "total_output_tokens": round(level.mean_output_tokens * n),
        "request_throughput": level.requests_per_s,
        "output_throughput": level.output_tokens_per_s,
        "total_token_throughput": level.output_tokens_per_s + level.prompt_tokens_per_s,
        **_statistics("ttft", level.ttft),
        **_statistics("tpot", level.tpot),
        **_statistics("itl", level.itl),
        **_statistics("e2el", level.e2e),
        **(
            {}
            if requests is None
            else {
                "input_lens": list(requests.n_prompt_tokens),
                "output_lens": list(requests.n_output_tokens),
                "ttfts": list(requests.ttft_s),
                "start_times": list(requests.sent_s),
            }
        ),
    }


def _statistics(name: str, found: Percentiles | None) -> dict[str, float]:
    if found is None:
        return {}
    return {
        f"mean_{name}_ms": found.mean / MILLI,
        f"median_{name}_ms": found.of(50) / MILLI,
        **{f"p{percent}_{name}_ms": found.of(percent) / MILLI for percent in (90, 95, 99)},
    }
