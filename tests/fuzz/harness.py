"""Runs a fuzz target: under atheris where it is installed, else by changing seeds blindly."""

import argparse
import importlib
import importlib.util
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from hardware.units import MIB
from planner.errors import USER_ERRORS

Target = Callable[[bytes], None]

MOST_S = 2.0
MOST_BYTES = 256 * MIB
_LONGEST_MESSAGE = 2000
_REGRESSIONS = Path(__file__).parent / "regressions"


def instrumented() -> AbstractContextManager[object]:
    """Modules imported within are watched for coverage, if atheris is installed and a target is being run."""
    if "--seconds" not in sys.argv or importlib.util.find_spec("atheris") is None:
        return nullcontext()
    return importlib.import_module("atheris").instrument_imports(include=["planner"])  # type: ignore[no-any-return]


def check(target: Target, data: bytes, most_s: float = MOST_S, most_bytes: int = MOST_BYTES) -> None:
    """Run a target on one input; raises for all that no input may do."""
    before_bytes = _peak_bytes()
    started = time.process_time()  # of this process: the machine may be busy with others
    try:
        target(data)
    except USER_ERRORS as error:
        message = str(error)
        if not message.isprintable() or not 0 < len(message) < _LONGEST_MESSAGE:
            raise AssertionError(f"not one printable line: {message[:300]!r}") from error
    elapsed_s = time.process_time() - started
    if elapsed_s > most_s:
        raise AssertionError(f"took {elapsed_s:.1f} s")
    grown = _peak_bytes() - before_bytes
    if grown > most_bytes:
        raise AssertionError(f"grew by {grown / MIB:.0f} MiB")


def regressions(name: str) -> list[Path]:
    """Inputs that once failed, or that reach a place which chance does not."""
    return sorted((_REGRESSIONS / name).glob("*")) if (_REGRESSIONS / name).is_dir() else []


def main(name: str, target: Target, seeds: Sequence[bytes]) -> None:
    """The command line of a target."""
    parser = argparse.ArgumentParser(description=f"Fuzz the {name} reader.")
    parser.add_argument("--seconds", type=int, required=True, help="how long to run")
    parser.add_argument("--longest", type=int, default=16_384, help="bytes of the longest input")
    parser.add_argument("--corpus", type=Path, default=None, help="a folder to keep what was found useful in")
    options = parser.parse_args()
    seeds = [*seeds, *(path.read_bytes() for path in regressions(name))]
    for seed in seeds:
        check(target, seed)
    with tempfile.TemporaryDirectory() as folder:
        corpus = options.corpus or Path(folder)
        corpus.mkdir(exist_ok=True)
        for number, seed in enumerate(seeds):
            (corpus / f"seed{number:04d}").write_bytes(seed[: options.longest])
        if importlib.util.find_spec("atheris") is None:
            _blind(name, target, seeds, options.seconds, options.longest)
        else:
            _guided(name, target, corpus, options.seconds, options.longest)


def _guided(name: str, target: Target, corpus: Path, seconds: int, longest: int) -> None:
    atheris = importlib.import_module("atheris")
    arguments = [
        name, str(corpus), f"-max_total_time={seconds}", f"-max_len={longest}", "-print_final_stats=1",
        "-timeout=20", "-rss_limit_mb=1024", f"-artifact_prefix={tempfile.gettempdir()}/{name}-",
    ]  # fmt: skip  # the limits of `check` are stricter and name what they found
    atheris.Setup(arguments, lambda data: check(target, data), enable_python_coverage=True)
    atheris.Fuzz()


def _blind(name: str, target: Target, seeds: Sequence[bytes], seconds: int, longest: int) -> None:
    chance = random.Random(int(time.time()))
    n_runs, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 8)):
            place = chance.randint(0, len(data))
            data[place : place + chance.choice((0, 0, 1, 4, 8))] = chance.randbytes(
                chance.choice((0, 1, 4, 8))
            )
        try:
            check(target, bytes(data[:longest]))
        except Exception:
            path = Path(tempfile.gettempdir()) / f"{name}-crash-{n_runs}"
            path.write_bytes(data[:longest])
            print(f"failed on {path}", file=sys.stderr)
            raise
        n_runs += 1
    print(f"{name}: {n_runs:,} inputs in {seconds} s, none failed")


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
