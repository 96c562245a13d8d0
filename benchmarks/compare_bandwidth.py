"""Hold our memory bandwidth measurement against a C loop on this machine: python benchmarks/compare_bandwidth.py

Compiles stream_read.c with `cc -O3 -march=native -fopenmp` and lets C and Python take turns, so that other work
on the machine meets both alike. Each Python result is compared with the C runs right before and after it.
Exits with 1 when the median of these ratios is off by more than 10 %.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from hardware.memory_probe import measure_memory_bandwidth
from hardware.units import GB, MIB, format_rate_bytes_per_s

TOLERANCE = 0.10


def upper_quartile(rates: list[float]) -> float:
    """The rule of the measurement itself: a slow sample is another program's doing."""
    return sorted(rates)[3 * len(rates) // 4]


def run_c(binary: Path, array_bytes: int, n_samples: int, n_threads: int | None) -> dict[str, list[float]]:
    """All samples of one run of the C program, in bytes per second."""
    environment = dict(os.environ)
    if n_threads is not None:
        environment["OMP_NUM_THREADS"] = str(n_threads)
    command = [str(binary), str(array_bytes), str(n_samples)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    answer = json.loads(done.stdout)
    return {"read": answer["read"], "triad": answer["triad"]}


def main() -> int:
    """Compile, take turns, print one line per round and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=None, help="default: all usable threads")
    parser.add_argument("--array-mib", type=int, default=256)
    parser.add_argument("--samples", type=int, default=40, help="C samples per round")
    options = parser.parse_args()
    source = Path(__file__).with_name("stream_read.c")
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder) / "stream_read"
        subprocess.run(["cc", "-O3", "-march=native", "-fopenmp", str(source), "-o", str(binary)], check=True)
        array_bytes = options.array_mib * MIB
        before = run_c(binary, array_bytes, options.samples, options.threads)
        reads, triads, ours, ratios = list(before["read"]), list(before["triad"]), [], []
        print("round   C read  C triad   Python   Python/C read   [GB/s]")
        for number in range(1, options.rounds + 1):
            measured = measure_memory_bandwidth(options.threads)
            after = run_c(binary, array_bytes, options.samples, options.threads)
            near = upper_quartile(before["read"] + after["read"])
            triad = upper_quartile(before["triad"] + after["triad"])
            reads += after["read"]
            triads += after["triad"]
            ours.append(measured.per_s)
            ratios.append(measured.per_s / near)
            print(
                f"{number:5d} {near / GB:8.1f} {triad / GB:8.1f} {measured.per_s / GB:8.1f} {ratios[-1]:15.3f}"
                f"   {measured.method}"
            )
            before = after
    ratio = statistics.median(ratios)
    print(
        f"C read {format_rate_bytes_per_s(upper_quartile(reads))}, C triad "
        f"{format_rate_bytes_per_s(upper_quartile(triads))}, Python {format_rate_bytes_per_s(statistics.median(ours))}"
        f"; median ratio Python/C read {ratio:.3f} over {len(ratios)} rounds"
    )
    agrees = abs(ratio - 1) <= TOLERANCE
    print(f"{'agrees' if agrees else 'DISAGREES'} within {TOLERANCE:.0%}")
    return 0 if agrees else 1


if __name__ == "__main__":
    sys.exit(main())
