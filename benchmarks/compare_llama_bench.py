"""Compares the planner's smoke benchmark with llama-bench, run in turns on this machine, by hand.

    python benchmarks/compare_llama_bench.py --llama-bench PATH/TO/llama-bench MODEL.gguf

llama-bench must be built from the same llama.cpp as the installed llama-cpp-python, with the same options
(the source is in its sdist under vendor/llama.cpp). Machines have slow phases of seconds to a minute, so the
two take turns, and the times compared are lower quartiles over all repetitions. The exit status is 1 when a
ratio is off by more than the tolerance.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from planner.bench.llama_cpp import bench_llama_cpp
from planner.bench.protocol import BenchRequest, BenchSubject
from planner.errors import PlannerError
from planner.estimate.measurement import BenchRun, Measurement, Phase

PHASES: tuple[Phase, ...] = ("prefill", "decode")
SUBJECT = BenchSubject(
    model_name="comparison",
    model_fingerprint="",
    quantization="",
    machine_fingerprint="",
    machine_name="",
)


def main() -> int:
    """Runs the pairs and prints rates and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--llama-bench", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--budget-s", type=float, default=60.0)
    parser.add_argument("--tolerance", type=float, default=0.05)
    options = parser.parse_args()
    ours: dict[Phase, list[Measurement]] = {phase: [] for phase in PHASES}
    theirs: dict[Phase, list[Measurement]] = {phase: [] for phase in PHASES}
    for pair in range(options.pairs):
        run = _planner_run(options)
        n_repetitions = len(run.measurements[0].samples_s)
        other = _llama_bench_run(options, run.n_threads, n_repetitions)
        for phase in PHASES:
            mine = run.measurement(phase)
            if mine is None:
                raise SystemExit(f"the planner measured no {phase}")
            ours[phase].append(mine)
            theirs[phase].append(other[phase])
        load = os.getloadavg()[0]
        print(f"pair {pair + 1}, {run.n_threads} threads, n={n_repetitions}, load {load:.1f}", flush=True)
        for phase in PHASES:
            _print(ours[phase][-1:], theirs[phase][-1:])
    print(f"all {options.pairs} pairs")
    ratios = [_print(ours[phase], theirs[phase]) for phase in PHASES]
    return int(any(abs(ratio - 1) > options.tolerance for ratio in ratios))


def _planner_run(options: argparse.Namespace) -> BenchRun:
    request = BenchRequest(
        model_path=options.model, n_threads=options.threads, budget_s=options.budget_s, n_gpu_layers=-1
    )
    try:
        return bench_llama_cpp(request, SUBJECT)
    except PlannerError as error:
        raise SystemExit(f"Error: {error}") from error


def _llama_bench_run(
    options: argparse.Namespace, n_threads: int, n_repetitions: int
) -> dict[Phase, Measurement]:
    command = [
        str(options.llama_bench), "-m", str(options.model), "-p", "512", "-n", "128",
        "-r", str(n_repetitions), "-t", str(n_threads), "-o", "json",
    ]  # fmt: skip
    answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    found: dict[Phase, Measurement] = {}
    for row in json.loads(answer.stdout):
        phase: Phase = "prefill" if row["n_prompt"] else "decode"
        found[phase] = Measurement(
            phase=phase,
            n_prompt_tokens=row["n_prompt"],
            n_generated_tokens=row["n_gen"],
            n_depth_tokens=row["n_depth"],
            samples_s=tuple(sample / 1e9 for sample in row["samples_ns"]),
        )
    return found


def _pooled(parts: list[Measurement]) -> Measurement:
    return Measurement(
        phase=parts[0].phase,
        n_prompt_tokens=parts[0].n_prompt_tokens,
        n_generated_tokens=parts[0].n_generated_tokens,
        n_depth_tokens=parts[0].n_depth_tokens,
        samples_s=tuple(sample for part in parts for sample in part.samples_s),
    )


def _print(ours: list[Measurement], theirs: list[Measurement]) -> float:
    mine, other = _pooled(ours), _pooled(theirs)
    ratio = mine.quartile_tokens_per_s / other.quartile_tokens_per_s
    print(
        f"  {mine.name:6} planner {mine.quartile_tokens_per_s:8.2f} tok/s (best {mine.best_tokens_per_s:8.2f}, "
        f"mean {mine.mean_tokens_per_s:8.2f} ± {mine.stddev_tokens_per_s:6.2f}) | "
        f"llama-bench {other.quartile_tokens_per_s:8.2f} (best {other.best_tokens_per_s:8.2f}, "
        f"mean {other.mean_tokens_per_s:8.2f} ± {other.stddev_tokens_per_s:6.2f}) | ratio {ratio:.3f}",
        flush=True,
    )
    return ratio


if __name__ == "__main__":
    sys.exit(main())
