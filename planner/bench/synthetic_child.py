"""The process that times shallow files in turn, as one after the other they would find the caches of the whole model.

Run as `python -P -m planner.bench.synthetic_child`. Files of a group decode token by token in turn: between two uses of
a weight the engine then reads as much as the whole model would have, and a slow phase of the machine meets all of them.
Where they are too small for that, other memory is read between two timed steps: a file that fits into the
last-level cache would otherwise run from it, which the whole model does not.
"""

import sys
import time
from collections.abc import Sequence
from functools import partial
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

    def prepare(self, context: Context, depth: int) -> None:
        """Empties the cache and fills it to a depth."""
        context.clear()
        if depth:
            context.fill(depth, self._saved.setdefault(depth, SavedState()))

    def prompt(self, context: Context, n_tokens: int, depth: int) -> tuple[float, float]:
        """Seconds of wall clock and of processor that a prompt took."""
        self.prepare(context, depth)
        work = context.prompt_work(n_tokens)
        self.sweep()
        return _clocked(lambda: context.run_prompt(work))


def _generated(
    files: Sequence[_File], contexts: Sequence[Context], n_tokens: int, depth: int
) -> list[tuple[float, float]]:
    """Seconds of wall clock and of processor that each file's tokens took, of all files in turn."""
    for file, context in zip(files, contexts, strict=True):
        file.prepare(context, depth)
    steps = [context.generation_work(n_tokens) for context in contexts]
    wall, cpu = [0.0] * len(files), [0.0] * len(files)
    for token in range(n_tokens):
        for index, (file, context) in enumerate(zip(files, contexts, strict=True)):
            file.sweep()
            step = [steps[index][token]]
            step_wall, step_cpu = _clocked(partial(context.run_generation, step))
            wall[index] += step_wall
            cpu[index] += step_cpu
    return list(zip(wall, cpu, strict=True))


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
            for group in sorted(request["groups"], reverse=bool(index % 2)):
                numbers = sorted(group, reverse=bool(index % 2))
                chosen = [files[number] for number in numbers]
                contexts = [file.context(phase, n_tokens, depth, threadpool) for file in chosen]
                found = _repetition(chosen, contexts, phase, n_tokens, depth)
                for number, (wall_s, cpu_s) in zip(numbers, found, strict=True):
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


def _repetition(
    files: Sequence[_File], contexts: Sequence[Context], phase: Phase, n_tokens: int, depth: int
) -> list[tuple[float, float]]:
    if phase == "decode":
        return _generated(files, contexts, n_tokens, depth)
    return [file.prompt(context, n_tokens, depth) for file, context in zip(files, contexts, strict=True)]


def _wanted(request: dict[str, Any]) -> tuple[tuple[Phase, int], ...]:
    return ("prefill", request["n_prompt"]), ("decode", request["n_gen"])


def _probe(file: _File, phase: Phase, wanted: int, depth: int, threadpool: Any) -> float:
    """Seconds per token of a first, small run, which also touches every weight for the first time."""
    context = file.context(phase, wanted, depth, threadpool)
    n_tokens = min(wanted, _PROBE_TOKENS if phase == "prefill" else 1)
    tries = [_repetition([file], [context], phase, n_tokens, 0) for _ in range(1 + _PROBE_TRIES)]
    return min(wall_s for [(wall_s, _)] in tries[1:]) / n_tokens


if __name__ == "__main__":
    sys.exit(serve(_handle))
