"""Kills programs that keep benchmark runs, at random moments, and counts what was lost: by hand.

    python benchmarks/kill_store.py --kills 1000

Two programs write into one folder all the time; each in turn is killed (SIGKILL) after a random few milliseconds. A run
counts as finished when its writer has said so. The exit status is 1 when a finished run is missing or damaged, a file
cannot be read, or something unfinished is left.
"""

import argparse
import dataclasses
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from planner.bench.store import load_runs, save_run
from planner.estimate.measurement import BenchRun, Measurement

RUN = BenchRun(
    model_name="a model",
    model_path="/models/a.gguf",
    model_fingerprint="ab" * 32,
    model_bytes=1,
    n_parameters=1,
    quantization="Q4_K_M",
    engine="llama.cpp",
    engine_build="a build",
    backend="CPU",
    machine_fingerprint="cd" * 32,
    machine_name="a machine",
    n_threads=2,
    n_gpu_layers=0,
    n_batch=2048,
    n_ubatch=512,
    n_context_tokens=512,
    kv_type="f16",
    flash_attention=True,
    measured_at="2026-01-02T03:04:05+00:00",
    measurements=(
        Measurement(
            phase="prefill",
            n_prompt_tokens=512,
            n_generated_tokens=0,
            n_depth_tokens=0,
            samples_s=tuple(1 + i / 1000 for i in range(500)),
        ),
    ),
    memory=None,
)
LONGEST_S = 0.03


def writer(folder: Path, said: int, name: str) -> int:
    """Starts a program that keeps runs until it is killed, and says of each when it is finished."""
    process = os.fork()
    if process:
        return process
    number = 0
    while True:
        number += 1
        save_run(dataclasses.replace(RUN, model_name=f"{name}-{number}"), folder)
        os.write(said, f"{name}-{number}\n".encode())


def main() -> int:
    """Kills, reads, compares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    options = parser.parse_args()
    chance = random.Random(1)
    with tempfile.TemporaryDirectory(prefix="planner-kill-") as scratch:
        folder, journal = Path(scratch) / "benchmarks", Path(scratch) / "said"
        said = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        writers = [writer(folder, said, "w0"), writer(folder, said, "w1")]
        for kill in range(options.kills):
            time.sleep(chance.uniform(0, LONGEST_S))
            index = kill % 2
            os.kill(writers[index], signal.SIGKILL)
            os.waitpid(writers[index], 0)
            writers[index] = writer(folder, said, f"w{kill + 2}")
        for process in writers:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
        # The last line may be cut: what had not been said whole was not finished.
        finished = journal.read_text().split("\n")[:-1]
        runs, warnings = load_runs(folder)
        kept = {run.model_name for run in runs if run.measurements == RUN.measurements}
        left = [path.name for path in folder.iterdir() if path.suffix != ".json"]
    lost = [name for name in finished if name not in kept]
    print(
        f"{options.kills} kills, {len(finished)} finished runs, {len(runs)} kept, {len(lost)} lost, "
        f"{len(warnings)} unreadable, {len(left)} unfinished files left"
    )
    return int(bool(lost or warnings or left))


if __name__ == "__main__":
    sys.exit(main())
