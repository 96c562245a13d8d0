"""llama.cpp's own `llama-server` as an engine: its timings of completions, without text or templates."""

import sys

from planner.bench.llama_cpp import bench_llama_cpp
from planner.bench.protocol import BenchRequest, BenchSubject
from planner.errors import BenchError
from planner.estimate.measurement import BenchRun
from planner.progress import Progress

PROGRAM = "llama-server"
COMMAND = (sys.executable, "-P", "-m", "planner.bench.llama_server_child")


def bench_llama_server(
    request: BenchRequest, subject: BenchSubject, *, program: str, progress: Progress | None = None
) -> BenchRun:
    """Starts the server, measures one sequence at a time, and ends it; crash and time limit as for our own child."""
    if request.batches or request.threads:
        raise BenchError(
            "llama-server is measured one sequence at a time with one number of threads; leave --batches and "
            "--thread-sweep out, or load it with planner load"
        )
    return bench_llama_cpp(request, subject, progress=progress, command=COMMAND, more={"program": program})
