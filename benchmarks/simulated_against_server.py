"""Simulate a llama-server and hold it against the real one: python benchmarks/simulated_against_server.py MODEL.gguf

Needs the engine (`pip install '.[engine,fit]'`): xllamacpp's wheel holds llama-server. Benchmarks the file as `planner bench`
does, in the library and in the server, into a data folder of its own; loads the server in closed loops, which show its
capacity, and with requests at random at rates below it; and simulates the same requests, of the lengths that the server
counted, at the same times. Beside each percentile of the server stands where it would lie nine times of ten if as many
requests were drawn again from those it had. Exits with 1 when a median or 95th percentile of TTFT or TPOT is more than
20 % off, or the saturation rate more than 10 %.
"""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from load_llama_server import serve

from planner.api.benchmarks import BenchSettings, bench
from planner.api.machines import machine_for
from planner.api.slot_replica import SlotReplica, slot_replica
from planner.bench.endpoint.load_test import run_load_test
from planner.engines.llama_cpp import LlamaCppFlags
from planner.load.load_summary import LoadLevel, percentiles
from planner.load.load_test import LoadQuestion, LoadTest
from planner.simulate.request_spec import RequestSpec
from planner.simulate.result import SimulationResult
from planner.simulate.simulator import simulate
from planner.workload.lengths import Lengths, parse_lengths

LATENCY_WITHIN, CAPACITY_WITHIN = 0.20, 0.10
CONTEXT_OF_A_SLOT = 2048
TURNAROUND_S = 0.002  # of the client, from an answer to the next request: the server begins a step in between
DRAWS = 2000
SERVER = Path(__file__).with_name("llama_server_of_xllamacpp.py")


@dataclass(frozen=True)
class Seen:
    """Percentiles of one load, of the server or of the simulation."""

    requests_per_s: float
    seconds: dict[str, float]


def main() -> int:
    """Benchmark, load, simulate, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--prompt", default="lognormal:48:0.5:200")
    parser.add_argument("--output", default="lognormal:24:0.5:80")
    parser.add_argument(
        "--bench-s", type=float, default=45.0, help="twice in the library, half of it in the server"
    )
    parser.add_argument("--load-s", type=float, default=480.0)
    parser.add_argument("--rates", default="0.5,0.75", help="of the measured capacity")
    parser.add_argument("--data", default=None, help="a data folder that holds both benchmarks already")
    parser.add_argument("--json", type=Path, default=None, help="write everything measured here")
    options = parser.parse_args()
    os.environ["PLANNER_DATA_DIR"] = options.data or tempfile.mkdtemp(prefix="planner-simulated-")
    if options.data is None:
        # The smoke test, every number of slots that may be taken, and the server's own time.
        batches = tuple(range(2, options.slots + 1))
        for settings in (
            BenchSettings(budget_s=options.bench_s),
            BenchSettings(budget_s=options.bench_s, batches=batches),
            BenchSettings(budget_s=options.bench_s / 2, engine=f"llama-server={SERVER}"),
        ):
            run = bench(str(options.model), settings=settings).run
            told = ", ".join(f"{item.name} {item.quartile_tokens_per_s:.1f}" for item in run.measurements)
            print(f"{run.engine}: {told} tokens/s", flush=True)
    prompt, output = parse_lengths(options.prompt), parse_lengths(options.output)
    tests = load(options, prompt, output)
    replica = slot_replica(
        str(options.model),
        machine_for(None),
        LlamaCppFlags(
            n_context_tokens=CONTEXT_OF_A_SLOT * options.slots, n_sequences=options.slots, unified_cache=False
        ),
    )
    print(f"the server itself: {replica.token_s * 1e3:.2f} ms a token")
    return 0 if compare(tests, replica, options.json) else 1


def load(options: argparse.Namespace, prompt: Lengths, output: Lengths) -> tuple[LoadTest, ...]:
    """Closed loops at 1, all and twice all slots, then rates below the capacity that they showed."""
    context = multiprocessing.get_context("spawn")
    addresses = context.Queue()
    threads = len(os.sched_getaffinity(0))
    server = context.Process(
        target=serve, args=(str(options.model), options.slots, threads, addresses), daemon=True
    )
    server.start()
    try:
        common = {"base_url": addresses.get(timeout=120), "prompt": prompt, "output": output}
        counts = (1, options.slots, 2 * options.slots)
        closed = run_load_test(
            LoadQuestion(**common, budget_s=options.load_s / 2, concurrencies=counts, seed=1)
        )
        capacity = capacity_of(closed.levels[-1])
        rates = tuple(float(share) * capacity for share in options.rates.split(","))
        opened = run_load_test(LoadQuestion(**common, budget_s=options.load_s / 2, rates_per_s=rates, seed=2))
    finally:
        server.terminate()
        server.join()
    for test in (closed, opened):
        notes = "".join(f"; {note}" for note in test.notes)
        print(f"the client took {test.client_cpu_s / test.wall_s:.0%} of a processor{notes}", flush=True)
    return closed, opened


def capacity_of(level: LoadLevel) -> float:
    """By Little's law, as the load test itself does."""
    assert level.e2e is not None and level.concurrency is not None
    return level.concurrency / level.e2e.mean


def compare(tests: tuple[LoadTest, ...], replica: SlotReplica, to_file: Path | None) -> bool:
    """Prints both side by side; whether all of it is as near as asked."""
    rows, is_near, capacities = [], True, (1.0, 1.0)
    for level in (level for test in tests for level in test.levels):
        name = (
            f"{level.concurrency} at once" if level.concurrency else f"{level.offered_per_s:.2f} requests/s"
        )
        result = simulated(level, replica)
        real, told, spread = of_level(level), of_result(result, level.concurrency or 0), chance(level)
        rows.append(
            {
                "load": name,
                "n": level.n_good,
                "real": real.__dict__,
                "simulated": told.__dict__,
                "chance": spread,
            }
        )
        print(f"{name}: {level.n_good} answers, {real.requests_per_s:.2f} requests/s; "
              f"simulated {told.requests_per_s:.2f} ({told.requests_per_s / real.requests_per_s - 1:+.0%})")  # fmt: skip
        for key, seconds in real.seconds.items():
            off = told.seconds[key] / seconds - 1
            is_near &= abs(off) <= LATENCY_WITHIN
            low, high = spread[key]
            print(
                f"  {key}  {seconds * 1e3:7.1f} ms ({low:+.0%} to {high:+.0%}), "
                f"simulated {told.seconds[key] * 1e3:7.1f} ms  {off:+.0%}"
            )
        if level.concurrency:
            capacities = (real.requests_per_s, told.requests_per_s)
    off = capacities[1] / capacities[0] - 1
    is_near &= abs(off) <= CAPACITY_WITHIN
    print(f"saturation: {capacities[0]:.2f} requests/s, simulated {capacities[1]:.2f} ({off:+.1%})")
    if to_file is not None:
        to_file.write_text(json.dumps(rows, indent=1))
    return is_near


def simulated(level: LoadLevel, replica: SlotReplica) -> SimulationResult:
    """The level's own requests, of the lengths that the server counted, in their order or at their times."""
    assert level.requests is not None
    policy, timer, asked = replica.policy, replica.timer(), level.requests
    sent = sorted(zip(asked.sent_s, asked.n_prompt_tokens, asked.n_output_tokens, strict=True))
    if level.concurrency is None:
        return simulate(policy, timer, [spec(n, m, at_s - sent[0][0]) for at_s, n, m in sent])
    # All places ask at once here: some answers pass until they are as far apart as the server's were.
    lengths = [(n, m) for _, n, m in (*sent[: 2 * level.concurrency], *sent)]
    left = iter(lengths[level.concurrency :])

    def following(ended: RequestSpec, now_s: float, is_served: bool) -> Iterable[RequestSpec]:
        del ended, is_served
        return [spec(n, m, now_s + TURNAROUND_S) for n, m in islice(left, 1)]

    first = [spec(n, m, 0.0) for n, m in lengths[: level.concurrency]]
    return simulate(policy, timer, first, next_requests=following)


def spec(n_prompt_tokens: int, n_output_tokens: int, arrival_s: float) -> RequestSpec:
    """A request of the load test, for the simulation."""
    return RequestSpec(arrival_s=arrival_s, n_prompt_tokens=n_prompt_tokens, n_output_tokens=n_output_tokens)


def chance(level: LoadLevel) -> dict[str, tuple[float, float]]:
    """Between which shares of the server's percentiles as many requests would lie nine times of ten, by drawing again."""
    import numpy as np

    asked = level.requests
    assert asked is not None
    ttft_s, n = np.array(asked.ttft_s), np.array(asked.n_output_tokens)
    tpot_s = ((np.array(asked.e2e_s) - ttft_s) / np.maximum(n - 1, 1))[n > 1]
    drawn = np.random.default_rng(0)
    found = {}
    for name, values in (("TTFT", ttft_s), ("TPOT", tpot_s)):
        again = np.percentile(drawn.choice(values, (DRAWS, len(values))), (50, 95), axis=1)
        for key, line in zip(("p50", "p95"), again, strict=True):
            low, high = np.percentile(line, (5, 95)) / np.percentile(values, int(key[1:])) - 1
            found[f"{name} {key}"] = float(low), float(high)
    return found


def of_level(level: LoadLevel) -> Seen:
    """What the server gave."""
    assert level.ttft and level.tpot
    per_s = level.requests_per_s if level.concurrency is None else capacity_of(level)
    return Seen(per_s, {
        "TTFT p50": level.ttft.of(50), "TTFT p95": level.ttft.of(95),
        "TPOT p50": level.tpot.of(50), "TPOT p95": level.tpot.of(95),
    })  # fmt: skip


def of_result(result: SimulationResult, concurrency: int) -> Seen:
    """What the simulation gave, of the same part of the run: a closed loop's from when each place had one answer."""
    ends = sorted(times.last_s for times in result.requests if times.last_s is not None)
    steady_s = ends[concurrency - 1] if concurrency else 0.0
    part = [times for times in result.requests if times.arrival_s >= steady_s]
    ttft = percentiles([times.ttft_s for times in part if times.ttft_s is not None])
    tpot = percentiles([times.tpot_s for times in part if times.tpot_s is not None])
    e2e = percentiles([times.e2e_s for times in part if times.e2e_s is not None])
    assert ttft and tpot and e2e
    return Seen(concurrency / e2e.mean if concurrency else len(ends) / ends[-1], {
        "TTFT p50": ttft.of(50), "TTFT p95": ttft.of(95), "TPOT p50": tpot.of(50), "TPOT p95": tpot.of(95),
    })  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
