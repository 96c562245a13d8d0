"""The process that times shallow files in turn, as one after the other they would find the caches of the whole model.

Run as `python -P -m planner.bench.synthetic_child`. Between two timed steps so much other memory is read as the
whole model would have touched and the shallow one has not: a file that fits into the last-level cache would
otherwise run from it, which the whole model does not.
"""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from planner.bench.child_process import Reporter, serve
from planner.bench.llama_cpp_library import Context, LlamaLibrary, Model, SavedState, engine_threads
from planner.bench.schedule import tokens_that_fit
from planner.estimate.measurement import Phase

_LOADING_SHARE = 0.2
_REPETITION_SHARE = 1 / 6  # of the budget: one repetition of all tests of all files
_PROBE_TOKENS = 32
_PROBE_TRIES = 3
_MAX_REPETITIONS = 60


class _File:
    """One loaded file with a context per test, and the memory to read between steps."""

    def __init__(self, library: LlamaLibrary, facts: dict[str, Any], request: dict[str, Any]) -> None:
        self.model: Model = library.load(Path(facts["path"]), request["n_gpu_layers"])
        self._other = np.zeros(facts["sweep_bytes"] // 8, dtype=np.int64)
        self._options = {
            "n_batch": request["n_batch"],
            "n_ubatch": request["n_ubatch"],
            "n_threads": request["n_threads"] or engine_threads(),
            "flash_attention": request["flash_attention"],
            "kv_type": request["kv_type"],
        }
        self._contexts: dict[tuple[Phase, int], Context] = {}
        self._saved: dict[int, SavedState] = {}

    def context(self, phase: Phase, n_tokens: int, depth: int, threadpool: Any) -> Context:
        """The context of a test, made when it is first needed."""
        key = (phase, depth)
        if key not in self._contexts:
            self._contexts[key] = self.model.context(n_context_tokens=n_tokens + depth, **self._options)
            self._contexts[key].attach(threadpool)
        return self._contexts[key]

    def sweep(self) -> None:
        """Reads the other memory."""
        if len(self._other):
            self._other.max()

    def timed(self, context: Context, phase: Phase, n_tokens: int, depth: int) -> tuple[float, float]:
        """Seconds of wall clock and of processor that one repetition took."""
        context.clear()
        if depth:
            context.fill(depth, self._saved.setdefault(depth, SavedState()))
        if phase == "prefill":
            work = context.prompt_work(n_tokens)
            self.sweep()
            return _clocked(lambda: context.run_prompt(work))
        wall = cpu = 0.0
        for step in context.generation_work(n_tokens):
            self.sweep()
            step_wall, step_cpu = _clocked(lambda step=step: context.run_generation([step]))
            wall += step_wall
            cpu += step_cpu
        return wall, cpu


def _clocked(work: Any) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def _handle(request: dict[str, Any], reporter: Reporter) -> None:
    library = LlamaLibrary()
    backend = (library.gpu_backend() if request["n_gpu_layers"] else None) or "CPU"
    reporter.send("engine", build=library.build, system_info=library.system_info, backend=backend)
    files = []
    for index, facts in enumerate(request["files"]):
        reporter.send(
            "loading",
            done_fraction=_LOADING_SHARE * index / len(request["files"]),
            text="loading shallow files",
        )
        files.append(_File(library, facts, request))
    n_threads = request["n_threads"] or engine_threads()
    reporter.send(
        "model",
        n_threads=n_threads,
        n_gpu_layers=0 if backend == "CPU" else request["n_gpu_layers"],
        model_bytes=[file.model.size_bytes for file in files],
        n_parameters=[file.model.n_parameters for file in files],
    )
    _measure(files, library.threadpool(n_threads), request, reporter)
    reporter.send("flash_attention", enabled=library.log.flash_attention is True)


def _measure(files: list[_File], threadpool: Any, request: dict[str, Any], reporter: Reporter) -> None:
    """Rounds of every test of every file, in turn, until the time is up."""
    started = time.monotonic()
    budget_s = request["budget_s"]
    tests: list[tuple[Phase, int, int]] = []
    share_s = budget_s * _REPETITION_SHARE / (2 * len(request["depths"]))
    for depth in request["depths"]:
        for phase, wanted in _wanted(request):
            if wanted:
                each_s = sum(_probe(file, phase, wanted, depth, threadpool) for file in files)
                tests.append((phase, tokens_that_fit(wanted, each_s, share_s), depth))
    for index in range(_MAX_REPETITIONS):
        elapsed_s = time.monotonic() - started
        if index >= 2 and elapsed_s * (index + 1) / index > budget_s:
            break
        for phase, n_tokens, depth in tests:
            # The order turns round, so that a phase of the machine does not always meet the same file first.
            for number in sorted(range(len(files)), reverse=bool(index % 2)):
                file = files[number]
                context = file.context(phase, n_tokens, depth, threadpool)
                wall_s, cpu_s = file.timed(context, phase, n_tokens, depth)
                reporter.send(
                    "sample",
                    file=number,
                    round=index,
                    phase=phase,
                    n_tokens=n_tokens,
                    n_depth=depth,
                    sample_s=wall_s,
                    cpu_s=cpu_s,
                    done_fraction=_LOADING_SHARE + (1 - _LOADING_SHARE) * min(1.0, elapsed_s / budget_s),
                    text=f"shallow file {number + 1}: {n_tokens / wall_s:,.1f} tok/s",
                )


def _wanted(request: dict[str, Any]) -> tuple[tuple[Phase, int], ...]:
    return ("prefill", request["n_prompt"]), ("decode", request["n_gen"])


def _probe(file: _File, phase: Phase, wanted: int, depth: int, threadpool: Any) -> float:
    """Seconds per token of a first, small run, which also touches every weight for the first time."""
    context = file.context(phase, wanted, depth, threadpool)
    n_tokens = min(wanted, _PROBE_TOKENS if phase == "prefill" else 1)
    file.timed(context, phase, n_tokens, 0)
    return min(file.timed(context, phase, n_tokens, 0)[0] for _ in range(_PROBE_TRIES)) / n_tokens


if __name__ == "__main__":
    sys.exit(serve(_handle))
