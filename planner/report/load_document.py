"""`planner load` as a document: latencies and rates at each load, and where the server saturates."""

from typing import Any

from hardware.units import MILLI
from planner.load.load_summary import PERCENTILES, LoadLevel, Percentiles
from planner.load.load_test import LoadTest
from planner.report.document import Document, Table
from planner.report.outside_text import plain
from planner.report.quantities import rate


def load_document(test: LoadTest, kept: str | None = None) -> Document:
    """One load test, the answer first; `kept` is the id under which it was kept just now."""
    return Document(
        schema="planner.load/1",
        title=f"Load test of {plain(test.model)}",
        answer=_answer(test),
        tables=(_levels(test), *_account(test)),
        notes=(*test.notes, *_kept_notes(test, kept)),
        data={**({} if kept is None else {"id": kept}), **load_data(test)},
    )


def _kept_notes(test: LoadTest, kept: str | None) -> tuple[str, ...]:
    if kept is None:
        return ()
    use = (
        "later estimates of this model on this device use it"
        if test.question.device
        else "with --device and what serves it, later estimates would use it"
    )
    return (f"kept as {kept} (planner bench show {kept}); {use}",)


def _answer(test: LoadTest) -> tuple[str, ...]:
    best = max(test.levels, key=lambda level: level.output_tokens_per_s)
    where = f"{plain(test.model)} at {test.question.base_url}"
    knee = test.knee
    if knee is not None and knee.is_reached:
        said = (
            f"{where} saturates at {rate(knee.requests_per_s)} requests and "
            f"{rate(best.output_tokens_per_s)} output tokens per second; waiting begins at about "
            f"{knee.concurrency:.0f} request{'s' if round(knee.concurrency) != 1 else ''} at once."
        )
    elif knee is not None:
        said = (
            f"{where} gave {rate(knee.requests_per_s)} requests and {rate(best.output_tokens_per_s)} output tokens "
            f"per second, and was not saturated at {max(level.concurrency or 0 for level in test.levels)} at once."
        )
    else:
        said = (
            f"{where} gave {rate(best.requests_per_s)} requests and {rate(best.output_tokens_per_s)} output tokens "
            "per second."
        )
    lengths = f"Prompts of {test.question.prompt} tokens, answers of {test.question.output}."
    if test.n_trace_requests:
        lengths = f"{test.n_trace_requests:,} requests of a trace."
    return said, lengths


def _levels(test: LoadTest) -> Table:
    is_closed = test.levels[0].concurrency is not None
    rows = [
        (
            f"{level.concurrency}" if is_closed else f"{rate(level.offered_per_s or 0)}/s",
            rate(level.requests_per_s),
            rate(level.output_tokens_per_s),
            _time(level.ttft, 50),
            _time(level.ttft, 95),
            _time(level.tpot, 50),
            _time(level.tpot, 95),
            _time(level.e2e, 95),
            level.n_good,
            level.n_failed,
        )
        for level in test.levels
    ]
    return Table(
        title="",
        headers=(
            "at once" if is_closed else "offered",
            "req/s",
            "tok/s",
            "TTFT p50",
            "p95",
            "TPOT p50",
            "p95",
            "E2E p95",
            "good",
            "failed",
        ),
        rows=tuple(rows),
        right=tuple(range(10)),
    )


def _account(test: LoadTest) -> tuple[Table, ...]:
    """The server's own counts beside ours."""
    account = test.account
    if account is None:
        return ()
    rows: list[tuple[str, str, str]] = []
    if account.n_prompt_tokens is not None:
        rows.append(("prompt tokens", f"{test.own_prompt_tokens:,}", f"{account.n_prompt_tokens:,.0f}"))
    if account.n_output_tokens is not None:
        rows.append(("output tokens", f"{test.own_output_tokens:,}", f"{account.n_output_tokens:,.0f}"))
    if account.mean_ttft_s is not None and test.own_mean_ttft_s is not None:
        rows.append(("mean TTFT", seconds(test.own_mean_ttft_s), seconds(account.mean_ttft_s)))
    return (
        Table(
            title="The server's own account",
            headers=("", "here", "server"),
            rows=tuple(rows),
            right=(1, 2),
        ),
    )


def seconds(value: float) -> str:
    """A latency: "23.4 ms", "1.52 s"."""
    return f"{value / MILLI:.1f} ms" if value < 1 else f"{value:.2f} s"


def _time(found: Percentiles | None, percent: int) -> str:
    return "–" if found is None else seconds(found.of(percent))


def load_data(test: LoadTest) -> dict[str, Any]:
    """All of it, keys with units."""
    question = test.question
    return {
        "url": question.base_url,
        "model": test.model,
        "call": test.call,
        "server_software": test.software,
        "measured_at": test.measured_at,
        "prompt_tokens": str(question.prompt),
        "output_tokens": str(question.output),
        "n_shared_prefix_tokens": question.n_shared_prefix_tokens,
        "n_trace_requests": test.n_trace_requests,
        "engine": test.engine,
        "engine_build": test.engine_build,
        "device": question.device,
        "precision": question.precision,
        "seed": question.seed,
        "output_length_is_forced": test.decides_length,
        "lengths_counted_by_server": test.is_counted,
        "wall_s": test.wall_s,
        "client_cpu_s": test.client_cpu_s,
        "stopped_early": test.is_stopped,
        "knee": None
        if test.knee is None
        else {
            "requests_per_s": test.knee.requests_per_s,
            "concurrency": test.knee.concurrency,
            "is_reached": test.knee.is_reached,
        },
        "server_account": None
        if test.account is None
        else {
            "n_prompt_tokens": test.account.n_prompt_tokens,
            "n_output_tokens": test.account.n_output_tokens,
            "mean_ttft_s": test.account.mean_ttft_s,
            "mean_e2e_s": test.account.mean_e2e_s,
        },
        "own_account": {
            "n_prompt_tokens": test.own_prompt_tokens,
            "n_output_tokens": test.own_output_tokens,
            "mean_ttft_s": test.own_mean_ttft_s,
        },
        "levels": [_level_data(level) for level in test.levels],
    }


def _level_data(level: LoadLevel) -> dict[str, Any]:
    return {
        "concurrency": level.concurrency,
        "offered_requests_per_s": level.offered_per_s,
        "n_good": level.n_good,
        "n_failed": level.n_failed,
        "errors": [{"error": text, "n": n} for text, n in level.errors],
        "window_s": level.window_s,
        "requests_per_s": level.requests_per_s,
        "output_tokens_per_s": level.output_tokens_per_s,
        "prompt_tokens_per_s": level.prompt_tokens_per_s,
        "mean_under_way": level.mean_under_way,
        "mean_prompt_tokens": level.mean_prompt_tokens,
        "mean_output_tokens": level.mean_output_tokens,
        "cached_fraction": level.cached_fraction,
        "latest_send_s": level.latest_send_s,
        "stretch_requests_per_s": list(level.rates_per_s),
        **{
            f"{name}_s": _percentile_data(found)
            for name, found in (
                ("ttft", level.ttft),
                ("tpot", level.tpot),
                ("itl", level.itl),
                ("e2e", level.e2e),
            )
        },
        "notes": list(level.notes),
    }


def _percentile_data(found: Percentiles | None) -> dict[str, float] | None:
    if found is None:
        return None
    return {
        "mean": found.mean,
        **{f"p{percent}": value for percent, value in zip(PERCENTILES, found.at, strict=True)},
        "n": found.n,
    }
