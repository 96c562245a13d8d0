"""The process that runs llama.cpp for a benchmark or asks it about memory.

Run as `python -P -m planner.bench.llama_cpp_child`.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from planner.bench.child_process import Reporter, serve
from planner.bench.llama_cpp_library import (
    Context,
    LlamaLibrary,
    Model,
    SavedState,
    engine_threads,
)
from planner.bench.llama_cpp_memory import EngineError
from planner.bench.schedule import GPU_PACING, Pacing, Plan, done_fraction, plan, wants_another
from planner.estimate.measurement import Phase

_PROBE_TOKENS = 32
_PROBE_TRIES = 3
_PROBE_SHARE = 0.05  # of the budget
_LOADING_INTERVAL_S = 0.25
_LOADING_SHARE = 0.1  # of the progress display


def main() -> int:
    """Serves one request."""
    return serve(_handle)


def _handle(request: dict[str, Any], reporter: Reporter) -> None:
    if request["mode"] == "memory":
        _memory(request, reporter)
    else:
        _Bench(request, reporter).run()


def _open(reporter: Reporter, n_gpu_layers: int) -> tuple[LlamaLibrary, str]:
    library = LlamaLibrary()
    backend = (library.gpu_backend() if n_gpu_layers else None) or "CPU"
    reporter.send("engine", build=library.build, system_info=library.system_info, backend=backend)
    return library, backend


def _context_options(request: dict[str, Any]) -> dict[str, Any]:
    return {
        "n_batch": request["n_batch"],
        "n_ubatch": request["n_ubatch"],
        "n_threads": request["n_threads"] or engine_threads(),
        "flash_attention": request["flash_attention"],
        "kv_type": request["kv_type"],
    }


def _memory(request: dict[str, Any], reporter: Reporter) -> None:
    library, _ = _open(reporter, request["n_gpu_layers"])
    model = library.load(Path(request["model_path"]), request["n_gpu_layers"], allocate=request["allocate"])
    context = model.context(
        n_context_tokens=request["n_context_tokens"],
        n_sequences=request["n_sequences"],
        kv_unified=request["kv_unified"],
        swa_full=request["swa_full"],
        **_context_options(request),
    )
    memory, buffers = context.memory()
    if not request["allocate"] and buffers is None:
        raise EngineError(
            "this build of llama-cpp-python cannot add sizes up without loading; ask with allocate=True"
        )
    reporter.send(
        "memory",
        **asdict(memory),
        buffers=[asdict(buffer) for buffer in buffers or ()],
        n_context_tokens=context.n_context_tokens,
        flash_attention=context.flash_attention,
    )


class _Bench:
    """One benchmark: the model is loaded once, then each depth is measured in turn."""

    def __init__(self, request: dict[str, Any], reporter: Reporter) -> None:
        self._request = request
        self._reporter = reporter
        self._options = _context_options(request)
        self._library, self._backend = _open(reporter, request["n_gpu_layers"])
        self._pacing = Pacing() if self._backend == "CPU" else GPU_PACING
        self._last_loading_s = 0.0

    def run(self) -> None:
        """Loads the model and measures, reporting as it goes."""
        request, path = self._request, Path(self._request["model_path"])
        n_context_tokens = max(request["n_prompt"], request["n_gen"]) + max(request["depths"])
        # In a mapped load the printed buffers overlap, so the engine is asked before, without allocation.
        dry_model = self._library.load(path, request["n_gpu_layers"], allocate=False)
        known = self._send_memory(dry_model, n_context_tokens, exact_only=True)
        dry_model.free()
        model = self._library.load(path, request["n_gpu_layers"], progress=self._loading)
        n_offloadable = model.n_layers + 1  # the engine counts the output layer too
        n_wanted = n_offloadable if request["n_gpu_layers"] < 0 else request["n_gpu_layers"]
        self._reporter.send(
            "model",
            description=model.description,
            model_bytes=model.size_bytes,
            n_parameters=model.n_parameters,
            n_threads=self._options["n_threads"],
            n_gpu_layers=0 if self._backend == "CPU" else min(n_wanted, n_offloadable),
            done_fraction=_LOADING_SHARE,
            text="warming up",
        )
        if not known:
            self._send_memory(model, n_context_tokens, exact_only=False)
        threadpool = self._library.threadpool(self._options["n_threads"])
        started = time.monotonic()
        for index, depth in enumerate(request["depths"]):
            left_s = request["budget_s"] - (time.monotonic() - started)
            self._measure_depth(model, threadpool, index, depth, left_s / (len(request["depths"]) - index))
        model.free()

    def _loading(self, fraction: float) -> None:
        if time.monotonic() - self._last_loading_s >= _LOADING_INTERVAL_S:
            self._last_loading_s = time.monotonic()
            text = f"loading the model, {fraction:.0%}"
            self._reporter.send("loading", done_fraction=fraction * _LOADING_SHARE, text=text)

    def _send_memory(self, model: Model, n_context_tokens: int, *, exact_only: bool) -> bool:
        context = model.context(n_context_tokens=n_context_tokens, **self._options)
        memory, buffers = context.memory()
        known = not exact_only or buffers is not None
        if known:
            self._reporter.send("memory", **asdict(memory), n_context_tokens=context.n_context_tokens)
        context.free()
        return known

    def _measure_depth(self, model: Model, threadpool: Any, index: int, depth: int, budget_s: float) -> None:
        started = time.monotonic()
        contexts: dict[Phase, Context] = {}
        wanted: dict[Phase, int] = {"prefill": self._request["n_prompt"], "decode": self._request["n_gen"]}
        for phase, n_tokens in wanted.items():
            if n_tokens:
                contexts[phase] = model.context(n_context_tokens=n_tokens + depth, **self._options)
                contexts[phase].attach(threadpool)
        self._reporter.send("flash_attention", enabled=self._library.log.flash_attention is True)
        prompt_s, gen_s = _probe(contexts, budget_s)
        fill_s = depth * prompt_s
        if fill_s > budget_s / 2:
            self._reporter.send(
                "note",
                text=f"d{depth} was left out: filling its context would take about {fill_s:.0f} s "
                f"of the {budget_s:.0f} s there are",
            )
        else:
            left_s = budget_s - (time.monotonic() - started) - fill_s
            chosen = plan(wanted["prefill"], wanted["decode"], prompt_s, gen_s, left_s)
            self._explain(chosen, depth, budget_s)
            if chosen.full_warm_up and "prefill" in contexts:
                contexts["prefill"].clear()
                contexts["prefill"].run_prompt(contexts["prefill"].prompt_work(chosen.n_prompt))
            self._repeat(contexts, chosen, index, depth, started, budget_s)
        for context in contexts.values():
            context.free()

    def _explain(self, chosen: Plan, depth: int, budget_s: float) -> None:
        at = f" at d{depth}" if depth else ""
        if (chosen.n_prompt, chosen.n_gen) != (self._request["n_prompt"], self._request["n_gen"]):
            self._reporter.send(
                "note",
                text=f"the tests{at} were shortened to {chosen.n_prompt} prompt and {chosen.n_gen} generated "
                f"tokens: longer ones would not fit into {budget_s:.0f} s",
            )
        elif not chosen.full_warm_up:
            self._reporter.send("note", text=f"no whole prompt{at} was run as a warm-up: time was short")

    def _repeat(
        self,
        contexts: dict[Phase, Context],
        chosen: Plan,
        index: int,
        depth: int,
        started: float,
        budget_s: float,
    ) -> None:
        """Alternates the tests until enough is known or time is up, reporting each repetition."""
        samples: dict[Phase, list[float]] = {phase: [] for phase in contexts}
        saved = SavedState()
        going = True
        while going:
            going = False
            for phase, context in contexts.items():
                if not wants_another(samples[phase], time.monotonic() - started, budget_s, self._pacing):
                    continue
                going = True
                n_tokens = chosen.n_prompt if phase == "prefill" else chosen.n_gen
                sample_s = _repetition(context, phase, n_tokens, depth, saved)
                samples[phase].append(sample_s)
                n_done = min(len(each) for each in samples.values())
                part = done_fraction(n_done, time.monotonic() - started, budget_s, self._pacing)
                whole = (index + part) / len(self._request["depths"])
                name = f"{'pp' if phase == 'prefill' else 'tg'}{n_tokens}" + (f" @ d{depth}" if depth else "")
                self._reporter.send(
                    "sample",
                    phase=phase,
                    n_tokens=n_tokens,
                    n_depth=depth,
                    sample_s=sample_s,
                    done_fraction=_LOADING_SHARE + (1 - _LOADING_SHARE) * whole,
                    text=f"{name}: {n_tokens / sample_s:,.1f} tok/s",
                )


def _repetition(context: Context, phase: Phase, n_tokens: int, depth: int, saved: SavedState) -> float:
    """Seconds of one repetition; filling the context to its depth is not timed."""
    context.clear()
    if depth:
        context.fill(depth, saved)
    prompt = phase == "prefill"
    work = context.prompt_work(n_tokens) if prompt else context.generation_work(n_tokens)
    run = context.run_prompt if prompt else context.run_generation
    begin = time.perf_counter()
    run(work)
    return time.perf_counter() - begin


def _probe(contexts: dict[Phase, Context], budget_s: float) -> tuple[float, float]:
    """Seconds per prompt token and per generated token, from very little work, to plan the rest."""
    for context in contexts.values():  # the first touches every weight for the first time, maybe from disk
        context.run_generation(context.generation_work(1))
    first = next(iter(contexts.values()))
    gen_s = _fastest(lambda: first.run_generation(first.generation_work(1)), budget_s)
    prompt_s = _fastest(lambda: first.run_prompt(first.prompt_work(_PROBE_TOKENS)), budget_s)
    return prompt_s / _PROBE_TOKENS, gen_s


def _fastest(work: Callable[[], None], budget_s: float) -> float:
    """The best of three tries, so that one hiccup does not shorten the tests; of one if it takes long."""
    times: list[float] = []
    while len(times) < _PROBE_TRIES and sum(times) < _PROBE_SHARE * budget_s:
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)


if __name__ == "__main__":
    sys.exit(main())
