"""Hold our memory bandwidth measurement against the triad of STREAM, in C: python benchmarks/stream.py

Compiles stream_triad.c with `cc -O3 -march=native -fopenmp`. C and Python take turns, each Python result standing
between two C runs, so that slow stretches of the machine meet both. Prints the medians and exits with 1 when the
median of the ratios is off by more than 10 %. The triad uses huge pages, as NumPy's arrays do; with the 4 KiB pages
that Linux gives a program that does not ask, it is slower by what looking up pages costs, and that is shown too.
Rounds are short and many, because a shared host changes its speed within seconds.
`compare_bandwidth.py` does the same with a loop that only reads.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from hardware.memory_probe import measure_memory_bandwidth
from hardware.units import GB, MIB

TOLERANCE = 0.10


def triad(binary: Path, array_bytes: int, passes: int, *, huge_pages: bool) -> float:
    """Upper quartile of the passes, the rule of our own measurement: a slow pass is another program's doing."""
    done = subprocess.run(
        [str(binary), str(array_bytes), str(passes), str(int(huge_pages))],
        capture_output=True,
        text=True,
        check=True,
    )
    rates = sorted(json.loads(done.stdout)["triad"])
    return float(rates[3 * len(rates) // 4])


def main() -> int:
    """Compile, take turns, print one line per round and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--array-mib", type=int, default=256)
    parser.add_argument("--passes", type=int, default=8, help="triad passes of each C run")
    parser.add_argument("--budget-s", type=float, default=0.4, help="time of each Python measurement")
    options = parser.parse_args()
    source = Path(__file__).with_name("stream_triad.c")
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder) / "stream_triad"
        subprocess.run(["cc", "-O3", "-march=native", "-fopenmp", str(source), "-o", str(binary)], check=True)
        array_bytes = options.array_mib * MIB
        before = triad(binary, array_bytes, options.passes, huge_pages=True)
        triads, small, ours, ratios = [before], [], [], []
        print("round  C triad   Python   Python/C   C triad, 4 KiB pages   [GB/s]")
        for number in range(1, options.rounds + 1):
            measured = measure_memory_bandwidth(budget_s=options.budget_s)
            after = triad(binary, array_bytes, options.passes, huge_pages=True)
            small.append(triad(binary, array_bytes, options.passes, huge_pages=False))
            near = (before + after) / 2
            triads.append(after)
            ours.append(measured.per_s)
            ratios.append(measured.per_s / near)
            print(
                f"{number:5d} {near / GB:8.1f} {measured.per_s / GB:8.1f} {ratios[-1]:10.3f} {small[-1] / GB:22.1f}"
            )
            before = after
    ratio = statistics.median(ratios)
    print(
        f"medians: C triad {statistics.median(triads) / GB:.1f} GB/s, Python {statistics.median(ours) / GB:.1f} GB/s, "
        f"ratio {ratio:.3f} over {len(ratios)} rounds; C triad with 4 KiB pages {statistics.median(small) / GB:.1f} GB/s"
    )
    agrees = abs(ratio - 1) <= TOLERANCE
    print(f"{'agrees' if agrees else 'DISAGREES'} within {TOLERANCE:.0%}")
    return 0 if agrees else 1


if __name__ == "__main__":
    sys.exit(main())
