"""How far synthetic benchmarks are off: whole models and their shallow files, timed in turn on this machine.

    python benchmarks/synthetic.py --smollm2 SmolLM2-135M.gguf --gemma gemma-3-270m.gguf

The two files are real models; the third, of the shape of Llama-3.2-1B, is compared with its own full-depth file of
random weights. Every repetition of the whole model is timed beside those of the shallow files, in one process, so
a slow phase of the machine meets all of them; compared are lower quartiles of time, by the wall clock and by the
processor's. Threads wait for each other by spinning: on a busy machine, measure with --threads 1. The exit status is
1 when a wall-clock error is above 8 % for decode or 10 % for prefill.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hardware.units import GIB, MB
from planner.api.gguf_headers import model_header
from planner.api.inspecting import inspect
from planner.api.models import described_models, open_model
from planner.bench.protocol import BenchRequest
from planner.bench.runner import run_child
from planner.bench.synthetic import COMMAND, turns
from planner.bench.synthetic_file import write_shallow_file
from planner.bench.synthetic_plan import ShallowFile, SyntheticPlan, plan_synthetic
from planner.estimate.described_model import DescribedModel
from planner.estimate.extrapolation import ShallowTimes, TooNoisyError, extrapolated_seconds, layers_work
from planner.estimate.measurement import Phase, lower_quartile

SHAPE, SHAPE_QUANT = "llama-3.2-1b", "Q4_K_M"
TOLERANCE: dict[Phase, float] = {"decode": 0.08, "prefill": 0.10}
PHASES: tuple[Phase, ...] = ("prefill", "decode")


@dataclass(slots=True)
class Times:
    """Seconds by phase, tokens and file, on one clock."""

    by_test: dict[tuple[Phase, int], dict[int, list[float]]] = field(default_factory=dict)

    def add(self, event: dict[str, Any], name: str) -> None:
        """Takes the time of that name from a sample's event."""
        phase = PHASES[PHASES.index(event["phase"])]
        files = self.by_test.setdefault((phase, int(event["n_tokens"])), {})
        files.setdefault(int(event["file"]), []).append(float(event[name]))


def main() -> int:
    """Measures each model and prints its rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--smollm2", type=Path)
    parser.add_argument("--gemma", type=Path)
    parser.add_argument(
        "--model", action="append", default=[], help="any other GGUF file, or a name for its shape"
    )
    parser.add_argument("--no-shape", action="store_true", help=f"leave {SHAPE} out")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--budget-s", type=float, default=95.0, help="for each model, loading apart")
    options = parser.parse_args()
    names = [str(path) for path in (options.smollm2, options.gemma) if path] + options.model
    names += [] if options.no_shape else [SHAPE]
    print(
        f"{'model':26} {'test':7} {'clock':5} {'n':>3} {'whole':>9} {'synthetic, 80 %':>26} {'error':>7}  disk, writing, all"
    )
    off = [error for name in names for error in measure(name, options)]
    return int(any(off))


def measure(name: str, options: argparse.Namespace) -> Iterator[bool]:
    """Yields for each test whether its wall-clock error is above the tolerance."""
    started = time.monotonic()
    opened = open_model(name)
    model = described_models(opened, () if opened.storage else (SHAPE_QUANT,))[0]
    header = model_header(opened, model)
    plan = plan_synthetic(model, header.metadata, header.tensors, disk_limit_bytes=4 * GIB)
    with scratch() as folder:
        whole = opened.path or write_shallow_file(
            folder / "whole.gguf",
            ShallowFile(
                layers=tuple(range(model.network.n_layers)), metadata=header.metadata, tensors=header.tensors
            ),
            n_vocabulary=plan.n_vocabulary,
        )
        begin = time.monotonic()
        shallow = [
            write_shallow_file(folder / f"{index}.gguf", file, n_vocabulary=plan.n_vocabulary)
            for index, file in enumerate(plan.files)
        ]
        writing_s = time.monotonic() - begin
        wall, cpu = run(model, plan, [whole.resolve(), *shallow], options)
    total_s = time.monotonic() - started
    for test in wall.by_test:
        for clock, times in (("wall", wall), ("cpu", cpu)):
            facts = (
                f"{plan.n_bytes / MB:.0f} MB, {writing_s:.1f} s, {total_s:.0f} s" if clock == "wall" else ""
            )
            error = row(model, plan, test, times.by_test[test], clock, facts)
            if clock == "wall":
                yield error is None or abs(error) > TOLERANCE[test[0]]


def run(
    model: DescribedModel, plan: SyntheticPlan, paths: list[Path], options: argparse.Namespace
) -> tuple[Times, Times]:
    """Times the whole model and the shallow files in turn; by the wall clock and by the processor's."""
    cpu_facts = inspect().cpu
    cache_bytes = cpu_facts.cache_l3_bytes if cpu_facts else None
    how = turns(model, plan.files, cache_bytes)
    # The whole model has turns of its own: its caches are as its own weights leave them.
    groups = [[0], *([number + 1 for number in group] for group in how.groups)]
    request = json.loads(
        BenchRequest(
            model_path=paths[0], n_threads=options.threads, budget_s=options.budget_s, n_gpu_layers=0
        ).to_json()
    )
    files = [
        {"path": str(path), "sweep_bytes": n} for path, n in zip(paths, (0, *how.other_bytes), strict=True)
    ]
    wall, cpu = Times(), Times()

    def take(event: dict[str, Any]) -> None:
        if event["event"] == "sample":
            wall.add(event, "sample_s")
            cpu.add(event, "cpu_s")

    ended = run_child(
        json.dumps({**request, "mode": "synthetic", "files": files, "groups": groups}),
        take,
        load_limit_s=300,
        measure_limit_s=3 * options.budget_s + 60,
        command=COMMAND,
    )
    if ended.problem:
        raise SystemExit(f"Error: {ended.problem}")
    return wall, cpu


def row(
    model: DescribedModel,
    plan: SyntheticPlan,
    test: tuple[Phase, int],
    files: dict[int, list[float]],
    clock: str,
    facts: str,
) -> float | None:
    """Prints one comparison and returns the relative error of the rate; None where noise was too large."""
    phase, n_tokens = test
    whole_s = lower_quartile(files[0])
    shallow = [
        ShallowTimes(work=layers_work(model, file.layers, phase, 0, n_tokens), samples_s=tuple(files[index]))
        for index, file in enumerate(plan.files, start=1)
    ]
    work = layers_work(model, range(model.network.n_layers), phase, 0, n_tokens)
    label = f"{model.name[:26]:26} {'pp' if phase == 'prefill' else 'tg'}{n_tokens:<5} {clock:5} {len(files[0]):3}"
    try:
        found = extrapolated_seconds(shallow[0], shallow[-1], work, phase)
    except TooNoisyError as noise:
        print(f"{label} {n_tokens / whole_s:9.2f} {noise}", flush=True)
        return None
    rates = found.inverse(n_tokens)
    error = rates.expected * whole_s / n_tokens - 1
    inside = " " if rates.low <= n_tokens / whole_s <= rates.high else "!"
    print(
        f"{label} {n_tokens / whole_s:9.2f} {rates.expected:9.2f} ({rates.low:.2f}–{rates.high:.2f}){inside:3}"
        f" {error:+7.1%}  {facts} load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    return error


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="planner-synthetic-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
