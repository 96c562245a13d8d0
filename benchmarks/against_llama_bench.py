"""Holds the planner's benchmark against llama-bench of the same build, in turns on this machine, by hand.

    python benchmarks/against_llama_bench.py --llama-bench PATH/TO/llama-bench SmolLM2.gguf gemma-3-270m.gguf

llama-bench must be built from the same llama.cpp as the installed llama-cpp-python, with the same options (the source is
in its sdist under vendor/llama.cpp), or linked with the very libraries that are installed. Machines have slow phases of
seconds to a minute, so the two take turns in short runs of equal length, each first in every other pair. Compared are lower
quartiles of time over all repetitions; beside that stands the median of the pairs' ratios, since the two runs of a pair
meet the same phase. The exit status is 1 when the ratio over all repetitions is off by more than the tolerance.
"""

import argparse
import os
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

from planner.bench.llama_bench_program import bench_llama_bench
from planner.bench.llama_cpp import bench_llama_cpp
from planner.bench.protocol import BenchRequest, BenchSubject
from planner.errors import PlannerError
from planner.estimate.measurement import BenchRun, Measurement, lower_quartile

SUBJECT = BenchSubject(
    model_name="comparison", model_fingerprint="", quantization="", machine_fingerprint="", machine_name=""
)


Runs = dict[str, list[tuple[float, ...]]]  # by test: the times of each run


def main() -> int:
    """Runs the pairs and prints rates and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--llama-bench", required=True)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--budget-s", type=float, default=6.0, help="of one of our runs")
    parser.add_argument(
        "--prompt", type=int, default=512, help="fewer give more repetitions on a busy machine"
    )
    parser.add_argument("--gen", type=int, default=128)
    parser.add_argument("--tolerance", type=float, default=0.03)
    options = parser.parse_args()
    try:
        off = [
            abs(ratio - 1) > options.tolerance
            for model in options.models
            for ratio in compare(model, options)
        ]
    except PlannerError as error:
        raise SystemExit(f"Error: {error}") from error
    return int(any(off))


def compare(model: Path, options: argparse.Namespace) -> list[float]:
    """The ratios of our rates to theirs, test by test."""
    request = BenchRequest(
        model_path=model,
        n_prompt=options.prompt,
        n_gen=options.gen,
        n_threads=options.threads,
        budget_s=options.budget_s,
    )
    ours: Runs = defaultdict(list)
    theirs: Runs = defaultdict(list)
    tokens: dict[str, int] = {}
    n_repetitions = 3
    for pair in range(options.pairs):
        for first in (pair % 2 == 0, pair % 2 == 1):
            if first:
                run = bench_llama_cpp(request, SUBJECT)
                n_repetitions = max(1, min(len(m.samples_s) for m in run.measurements))
                take(run, ours, tokens)
            else:
                run = bench_llama_bench(
                    request, SUBJECT, program=options.llama_bench, n_repetitions=n_repetitions
                )
                take(run, theirs, tokens)
        print(f"{model.stem} pair {pair + 1}, n={n_repetitions}, load {os.getloadavg()[0]:.1f}", flush=True)
    return [print_row(model, name, tokens[name], ours, theirs) for name in ours if name in theirs]


def take(run: BenchRun, times: Runs, tokens: dict[str, int]) -> None:
    """Adds a run's repetitions to what is known of each test."""
    for measured in run.measurements:
        times[measured.name].append(measured.samples_s)
        tokens[measured.name] = measured.n_tokens


def print_row(model: Path, name: str, n_tokens: int, ours: Runs, theirs: Runs) -> float:
    """Prints one test and returns the ratio of the rates at the lower quartile of time, over all repetitions."""
    pairs = [lower_quartile(b) / lower_quartile(a) for a, b in zip(ours[name], theirs[name], strict=True)]
    ours_s, theirs_s = ([s for run in runs[name] for s in run] for runs in (ours, theirs))
    ratio = lower_quartile(theirs_s) / lower_quartile(ours_s)
    print(
        f"{model.stem:32} {name:6} planner {described(name, n_tokens, ours_s)} | "
        f"llama-bench {described(name, n_tokens, theirs_s)} | ratio {ratio:.3f}, "
        f"median of pairs {median(pairs):.3f} ({min(pairs):.3f}–{max(pairs):.3f})",
        flush=True,
    )
    return ratio


def described(name: str, n_tokens: int, samples_s: list[float]) -> str:
    """Quartile, best and mean with its deviation, in tokens per second."""
    measured = Measurement(
        phase="prefill" if name.startswith("pp") else "decode",
        n_prompt_tokens=n_tokens if name.startswith("pp") else 0,
        n_generated_tokens=0 if name.startswith("pp") else n_tokens,
        n_depth_tokens=0,
        samples_s=tuple(samples_s),
    )
    return (
        f"{measured.quartile_tokens_per_s:8.2f} (best {measured.best_tokens_per_s:8.2f}, mean "
        f"{measured.mean_tokens_per_s:8.2f} ± {measured.stddev_tokens_per_s:6.2f}, n={len(samples_s)})"
    )


if __name__ == "__main__":
    sys.exit(main())
