"""Simulate a llama-server and hold it against the real one: python benchmarks/simulated_against_server.py MODEL.gguf

Needs the engine (`pip install '.[engine,fit]'`): xllamacpp's wheel holds llama-server. Benchmarks the file as `planner bench`
does, in the library and in the server, into a data folder of its own; loads the server in closed loops, which show its
capacity, and with requests at random at rates below it; and simulates the same requests, of the lengths that the server
counted, at the same times. All of it several times over, each time with benchmarks of its own, because machines get slower
and faster within minutes; percentiles are of all times' requests together. Beside each percentile of the server stands
where it would lie nine times of ten if as many requests were drawn again from those it had. A clock beside it tells how long
the machine stood still. Exits with 1 when a median or 95th percentile of TTFT or TPOT is more than 20 % off, or the
saturation rate more than 10 %.
"""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from statistics import mean

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
from planner.workload.lengths import parse_lengths

LATENCY_WITHIN, CAPACITY_WITHIN = 0.20, 0.10
CONTEXT_OF_A_SLOT = 2048
TURNAROUND_S = 0.002  # of the client, from an answer to the next request: the server begins a step in between
DRAWS = 2000
TICK_S = 0.01
SERVER = Path(__file__).with_name("llama_server_of_xllamacpp.py")


@dataclass(frozen=True)
class Seen:
    """Times of the answers to one load, of the server or of the simulation."""

    ttft_s: list[float]
    tpot_s: list[float]
    requests_per_s: list[float]  # of each round

    def extend(self, other: "Seen") -> None:
        """The same load once more."""
        self.ttft_s.extend(other.ttft_s)
        self.tpot_s.extend(other.tpot_s)
        self.requests_per_s.extend(other.requests_per_s)

    def seconds(self) -> dict[str, float]:
        """The percentiles that are compared."""
        found: dict[str, float] = {}
        for name, values in (("TTFT", self.ttft_s), ("TPOT", self.tpot_s)):
            several = percentiles(values)
            assert several is not None
            found |= {f"{name} p{percent}": several.of(percent) for percent in (50, 95)}
        return found


class Clock(threading.Thread):
    """Notices when the machine stands still: how much longer than asked the longest short sleep took."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.longest_s = 0.0

    def run(self) -> None:
        """Sleeps, over and over."""
        while True:
            began = time.perf_counter()
            time.sleep(TICK_S)
            self.longest_s = max(self.longest_s, time.perf_counter() - began - TICK_S)


def main() -> int:
    """Benchmark, load, simulate, several times; compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--prompt", default="lognormal:48:0.5:200")
    parser.add_argument("--output", default="lognormal:24:0.5:80")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--bench-s",
        type=float,
        default=45.0,
        help="twice in the library, half of it in the server, each round",
    )
    parser.add_argument("--load-s", type=float, default=160.0, help="of each round")
    parser.add_argument("--rates", default="0.5,0.75", help="of the capacity that the first round shows")
    parser.add_argument("--json", type=Path, default=None, help="write everything measured here")
    options = parser.parse_args()
    clock = Clock()
    clock.start()
    rates: tuple[float, ...] = ()
    pairs: dict[str, tuple[Seen, Seen]] = {}
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}")
        benchmark(options)
        closed, opened = load(options, rates, seed=2 * number + 1)
        rates = tuple(level.offered_per_s or 0.0 for level in opened.levels)
        replica = slot_replica(
            str(options.model),
            machine_for(None),
            LlamaCppFlags(
                n_context_tokens=CONTEXT_OF_A_SLOT * options.slots,
                n_sequences=options.slots,
                unified_cache=False,
            ),
        )
        print(f"the server itself: {replica.token_s * 1e3:.2f} ms a token")
        for level in (*closed.levels, *opened.levels):
            one = of_level(level), of_result(simulated(level, replica), level.concurrency or 0)
            for so_far, more in zip(pairs.setdefault(name_of(level), (empty(), empty())), one, strict=True):
                so_far.extend(more)
    print(f"the machine stood still for {clock.longest_s * 1e3:.0f} ms at most")
    if options.json is not None:
        rows = {name: [asdict(seen) for seen in pair] for name, pair in pairs.items()}
        options.json.write_text(json.dumps(rows, indent=1))
    return 0 if compare(pairs, name_of(closed.levels[-1])) else 1


def benchmark(options: argparse.Namespace) -> None:
    """The smoke test, every number of slots that may be taken, and the server's own time, in a data folder of their own."""
    os.environ["PLANNER_DATA_DIR"] = tempfile.mkdtemp(prefix="planner-simulated-")
    batches = tuple(range(2, options.slots + 1))
    for settings in (
        BenchSettings(budget_s=options.bench_s),
        BenchSettings(budget_s=options.bench_s, batches=batches),
        BenchSettings(budget_s=options.bench_s / 2, engine=f"llama-server={SERVER}"),
    ):
        run = bench(str(options.model), settings=settings).run
        told = ", ".join(f"{item.name} {item.quartile_tokens_per_s:.1f}" for item in run.measurements)
        print(f"{run.engine}: {told} tokens/s", flush=True)


def load(options: argparse.Namespace, rates: tuple[float, ...], seed: int) -> tuple[LoadTest, LoadTest]:
    """Closed loops at 1, all and twice all slots, then the rates, or shares of the capacity that the loops showed."""
    prompt, output = parse_lengths(options.prompt), parse_lengths(options.output)
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
            LoadQuestion(**common, budget_s=options.load_s / 2, concurrencies=counts, seed=seed)
        )
        capacity = capacity_of(closed.levels[-1])
        rates = rates or tuple(float(share) * capacity for share in options.rates.split(","))
        opened = run_load_test(
            LoadQuestion(**common, budget_s=options.load_s / 2, rates_per_s=rates, seed=seed + 1)
        )
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


def name_of(level: LoadLevel) -> str:
    """As it is printed."""
    return f"{level.concurrency} at once" if level.concurrency else f"{level.offered_per_s:.2f} requests/s"


def compare(pairs: Mapping[str, tuple[Seen, Seen]], full: str) -> bool:
    """Prints server and simulation side by side; whether all of it is as near as asked. `full` is the load at capacity."""
    is_near = True
    for name, (real, told) in pairs.items():
        per_s, told_per_s = mean(real.requests_per_s), mean(told.requests_per_s)
        print(f"{name}: {len(real.ttft_s)} answers, {per_s:.2f} requests/s; "
              f"simulated {told_per_s:.2f} ({told_per_s / per_s - 1:+.1%})")  # fmt: skip
        if name == full:
            is_near &= abs(told_per_s / per_s - 1) <= CAPACITY_WITHIN
            each = zip(told.requests_per_s, real.requests_per_s, strict=True)
            print("  saturation, by round: " + ", ".join(f"{a / b - 1:+.1%}" for a, b in each))
        spread, simulated_s = chance(real), told.seconds()
        for key, seconds in real.seconds().items():
            off = simulated_s[key] / seconds - 1
            is_near &= abs(off) <= LATENCY_WITHIN
            low, high = spread[key]
            print(
                f"  {key}  {seconds * 1e3:7.1f} ms ({low:+.0%} to {high:+.0%}), "
                f"simulated {simulated_s[key] * 1e3:7.1f} ms  {off:+.0%}"
            )
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


def chance(real: Seen) -> dict[str, tuple[float, float]]:
    """Between which shares of the server's percentiles as many requests would lie nine times of ten, by drawing again."""
    import numpy as np

    drawn = np.random.default_rng(0)
    found = {}
    for name, seconds in (("TTFT", real.ttft_s), ("TPOT", real.tpot_s)):
        values = np.array(seconds)
        again = np.percentile(drawn.choice(values, (DRAWS, len(values))), (50, 95), axis=1)
        for key, line in zip(("p50", "p95"), again, strict=True):
            low, high = np.percentile(line, (5, 95)) / np.percentile(values, int(key[1:])) - 1
            found[f"{name} {key}"] = float(low), float(high)
    return found


def empty() -> Seen:
    """Nothing yet."""
    return Seen([], [], [])


def of_level(level: LoadLevel) -> Seen:
    """What the server gave."""
    asked = level.requests
    assert asked is not None
    per_s = level.requests_per_s if level.concurrency is None else capacity_of(level)
    tpot_s = [
        (e2e_s - ttft_s) / (n - 1)
        for ttft_s, e2e_s, n in zip(asked.ttft_s, asked.e2e_s, asked.n_output_tokens, strict=True)
        if n > 1
    ]
    return Seen(list(asked.ttft_s), tpot_s, [per_s])


def of_result(result: SimulationResult, concurrency: int) -> Seen:
    """What the simulation gave, of the same part of the run: a closed loop's from when each place had one answer."""
    ends = sorted(times.last_s for times in result.requests if times.last_s is not None)
    steady_s = ends[concurrency - 1] if concurrency else 0.0
    part = [times for times in result.requests if times.arrival_s >= steady_s]
    e2e_s = [times.e2e_s for times in part if times.e2e_s is not None]
    return Seen(
        [times.ttft_s for times in part if times.ttft_s is not None],
        [times.tpot_s for times in part if times.tpot_s is not None],
        [concurrency / mean(e2e_s) if concurrency else len(ends) / ends[-1]],
    )


if __name__ == "__main__":
    sys.exit(main())
