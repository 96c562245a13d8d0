"""Load a server, say what it gave, and keep it."""

from pathlib import Path

from planner.api.machines import loads_folder
from planner.bench.endpoint.load_test import run_load_test
from planner.bench.endpoint.server import base_url_of
from planner.bench.load_store import StoredLoad, save_load
from planner.load.load_test import Call, LoadQuestion, LoadTest
from planner.load.request_record import RequestPlan
from planner.progress import Progress
from planner.readers.request_log import read_request_log
from planner.workload.lengths import Lengths

_MOST_OF_A_TRACE = 100_000


def load_test(
    url: str,
    *,
    prompt: Lengths,
    output: Lengths,
    model: str | None = None,
    call: Call | None = None,
    api_key: str | None = None,
    concurrencies: tuple[int, ...] = (),
    rates_per_s: tuple[float, ...] = (),
    trace: Path | None = None,
    n_shared_prefix_tokens: int = 0,
    budget_s: float = 120.0,
    most_requests: int | None = None,
    seed: int = 0,
    device: str = "",
    precision: str = "",
    progress: Progress | None = None,
) -> LoadTest:
    """Loads a server that speaks OpenAI's protocol; a trace is followed for the budget or `most_requests`."""
    plans = (
        () if trace is None else trace_plans(trace, min(most_requests or _MOST_OF_A_TRACE, _MOST_OF_A_TRACE))
    )
    return run_load_test(
        LoadQuestion(
            base_url=base_url_of(url),
            model=model,
            call=call,
            prompt=prompt,
            output=output,
            concurrencies=concurrencies,
            rates_per_s=rates_per_s,
            trace=tuple(plan for plan in plans if (plan.arrival_s or 0.0) <= budget_s),
            n_shared_prefix_tokens=n_shared_prefix_tokens,
            budget_s=budget_s,
            most_requests=most_requests,
            seed=seed,
            device=device,
            precision=precision,
        ),
        api_key=api_key,
        progress=progress,
    )


def trace_plans(trace: Path, limit: int) -> tuple[RequestPlan, ...]:
    """The requests of a recorded trace, the first at 0."""
    requests = read_request_log(trace, limit=limit).requests
    return tuple(
        RequestPlan(
            n_prompt_tokens=one.n_prompt_tokens,
            n_output_tokens=one.n_output_tokens,
            arrival_s=one.arrival_s - requests[0].arrival_s,
        )
        for one in requests
    )


def keep_load(test: LoadTest) -> StoredLoad:
    """Keeps a test beside the benchmarks."""
    return StoredLoad(path=save_load(test, loads_folder()), run=test)
