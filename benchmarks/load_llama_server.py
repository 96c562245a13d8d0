"""Load a real server several times and compare the runs, and our counts with the server's own.

    python benchmarks/load_llama_server.py MODEL.gguf
    python benchmarks/load_llama_server.py http://127.0.0.1:8000

A GGUF file is served by the llama-server inside xllamacpp (`pip install '.[fit]'`); an address is of any server that runs
already. Prints what each run found and how far they lie apart; exits with 1 when figures differ by more than 10 % from
their median, or counts by 5 %.
"""

import argparse
import multiprocessing
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from hardware.units import MILLI
from planner.bench.endpoint.load_test import run_load_test
from planner.load.load_test import LoadQuestion, LoadTest
from planner.workload.lengths import parse_lengths

RUNS_WITHIN, COUNTS_WITHIN = 0.10, 0.05


def serve(model: str, n_slots: int, n_threads: int, address: "multiprocessing.Queue[str]") -> None:
    """A llama-server in a process of its own."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.port = 0
    params.n_ctx = 2048 * n_slots
    params.n_parallel = n_slots
    params.endpoint_metrics = True
    params.cpuparams.n_threads = n_threads
    server = xllamacpp.Server(params)
    address.put(server.listening_address)
    time.sleep(3600)


def main() -> int:
    """Start, load, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a GGUF file, or the address of a server")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--budget-s", type=float, default=110.0)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt", default="16-48")
    parser.add_argument("--output", default="32-96")
    options = parser.parse_args()
    with served(options) as url:
        question = LoadQuestion(
            base_url=url,
            prompt=parse_lengths(options.prompt),
            output=parse_lengths(options.output),
            budget_s=options.budget_s,
            highest_concurrency=2 * options.slots,
        )
        tests: list[LoadTest] = []
        for number in range(1, options.runs + 1):
            test = run_load_test(question)
            tests.append(test)
            show(number, test)
    return 0 if verdict(tests) else 1


@contextmanager
def served(options: argparse.Namespace) -> Iterator[str]:
    """The address of the server."""
    if "://" in options.model:
        yield options.model
        return
    context = multiprocessing.get_context("spawn")
    addresses = context.Queue()
    server = context.Process(
        target=serve, args=(options.model, options.slots, options.threads, addresses), daemon=True
    )
    server.start()
    try:
        yield addresses.get(timeout=120)
    finally:
        server.terminate()
        server.join()


def show(number: int, test: LoadTest) -> None:
    """One run in a line."""
    assert test.knee is not None and test.account is not None
    levels = ", ".join(f"{level.concurrency}: {level.requests_per_s:.2f}" for level in test.levels)
    alone = test.levels[0].ttft
    assert alone is not None
    print(
        f"run {number}: capacity {test.knee.requests_per_s:.2f} requests/s, knee {test.knee.concurrency:.2f}, "
        f"TTFT p50 alone {alone.of(50) * 1e3:.0f} ms; requests/s at {levels}; output tokens "
        f"{test.own_output_tokens} here, {test.account.n_output_tokens:.0f} by the server",
        flush=True,
    )


def figures(test: LoadTest) -> dict[str, float]:
    """What has to repeat: capacity, knee, and rates and percentiles of the levels that every run has."""
    assert test.knee is not None
    found = {"capacity": test.knee.requests_per_s, "knee": test.knee.concurrency}
    for level in test.levels:
        if level.ttft is None or level.tpot is None or level.e2e is None:
            continue
        at = f"at {level.concurrency}"
        found |= {
            f"requests/s {at}": level.requests_per_s,
            f"TTFT p50 {at}": level.ttft.of(50),
            f"TPOT p50 {at}": level.tpot.of(50),
            f"E2E p50 {at}": level.e2e.of(50),
            f"E2E p95 {at}": level.e2e.of(95),
        }
    return found


def verdict(tests: list[LoadTest]) -> bool:
    """Whether runs and counts agree."""
    runs = [figures(test) for test in tests]
    apart = {}
    for name in runs[0]:
        values = [run[name] for run in runs if name in run]
        if len(values) == len(runs):
            apart[name] = max(abs(value / statistics.median(values) - 1) for value in values)
    for name, part in sorted(apart.items(), key=lambda item: -item[1]):
        print(f"{part:6.1%}  {name}: {', '.join(f'{run[name]:.4g}' for run in runs)}")
    counts = max(
        abs(own / theirs - 1)
        for test in tests
        if test.account
        for own, theirs in (
            (test.own_output_tokens, test.account.n_output_tokens),
            (test.own_prompt_tokens, test.account.n_prompt_tokens),
        )
        if theirs
    )
    ttft = [
        f"{test.own_mean_ttft_s / MILLI:.1f} and {test.account.mean_ttft_s / MILLI:.1f} ms"
        for test in tests
        if test.account and test.account.mean_ttft_s and test.own_mean_ttft_s
    ]
    if ttft:
        print(f"mean TTFT here and by the server: {', '.join(ttft)}")
    print(
        f"runs lie up to {max(apart.values()):.1%} from their median, counts {counts:.2%} from the server's"
    )
    return max(apart.values()) <= RUNS_WITHIN and counts <= COUNTS_WITHIN


if __name__ == "__main__":
    sys.exit(main())
