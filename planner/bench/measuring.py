"""One benchmark in the engine's process: the model is loaded once, then groups of tests are measured in turn."""

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hardware.energy import EnergyMeter, energy_meter
from hardware.other_work import OtherWork
from hardware.strain import Strain, read_strain, strain_notes
from planner.bench.child_process import Reporter
from planner.bench.llama_cpp_library import Context, LlamaLibrary, Model, SavedState
from planner.bench.protocol import BenchTest
from planner.bench.schedule import (
    GPU_PACING,
    Pacing,
    done_fraction,
    shared_out,
    tokens_that_fit,
    wants_another,
)

_PROBE_TOKENS = 32
_PROBE_TRIES = 3
_PROBE_SHARE = 0.05  # of the budget
_LOADING_INTERVAL_S = 0.25
_LOADING_SHARE = 0.1  # of the progress display
_DEPTH_SHARE = 0.3  # of what time there is for one group of tests
_FILLING_SHARE = 0.5  # of a group's time, at most
_LEAST_DEPTH = 512


class Benchmark:
    """Loads the model and measures, reporting as it goes."""

    def __init__(
        self, request: dict[str, Any], reporter: Reporter, library: LlamaLibrary, backend: str, options: dict[str, Any]
    ) -> None:  # fmt: skip
        self._request = request
        self._reporter = reporter
        self._library, self._backend, self._options = library, backend, options
        self._pacing = Pacing() if backend == "CPU" else GPU_PACING
        self._energy: EnergyMeter = energy_meter(gpus=backend != "CPU")
        self._last_loading_s = 0.0
        self._threadpools: dict[int, Any] = {}

    def run(self) -> None:
        """All groups; what is left of one group's time goes to the next."""
        request = self._request
        groups = [tuple(BenchTest(**facts) for facts in group) for group in request["groups"]]
        model = self._load(max(test.n_tokens + test.depth for group in groups for test in group))
        on_gpu = self._backend != "CPU"
        started, strain, other = time.monotonic(), read_strain(gpus=on_gpu), OtherWork()
        n_groups = len(groups) + bool(request["long_depth"])
        shares = [1.0] * len(groups) + [_DEPTH_SHARE * len(groups)] * bool(request["long_depth"])
        for problem in self._energy.problems:
            self._reporter.send("note", text=problem)
        for index in range(n_groups):
            left_s = request["budget_s"] - (time.monotonic() - started)
            budget_s = left_s * shares[index] / sum(shares[index:])
            part = (index / n_groups, (index + 1) / n_groups)
            if index < len(groups):
                _Group(self, model, groups[index], budget_s, part).run()
            else:
                test = BenchTest(phase="decode", n_tokens=request["n_gen"] or 32, depth=request["long_depth"])
                _Group(self, model, (test,), budget_s, part, shrink_depth=True).run()
            self._send_conditions(time.monotonic() - started, strain, other)
        for note in strain_notes(strain, read_strain(gpus=on_gpu)):
            self._reporter.send("note", text=note)
        model.free()

    def _load(self, n_context_tokens: int) -> Model:
        request, path = self._request, Path(self._request["model_path"])
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
        return model

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

    def _send_conditions(self, measuring_s: float, before: Strain, other: OtherWork) -> None:
        now = read_strain()
        throttled = None
        if before.n_throttled is not None and now.n_throttled is not None:
            throttled = now.n_throttled - before.n_throttled
        self._reporter.send(
            "conditions",
            measuring_s=round(measuring_s, 3),
            other_cores=other.n_busy(),
            n_throttled=throttled,
            clock_hz=now.clock_hz,
            temperature_c=now.temperature_c,
            on_battery=now.on_battery,
            energy_counters=self._energy.names,
        )

    def context(self, model: Model, test: BenchTest) -> Context:
        """A context for one test, with the threads that it wants."""
        n_threads = test.n_threads or self._options["n_threads"]
        if n_threads not in self._threadpools:
            self._threadpools[n_threads] = self._library.threadpool(n_threads)
        context = model.context(
            n_context_tokens=(test.n_tokens + test.depth) * test.n_sequences,
            n_sequences=test.n_sequences,
            **{**self._options, "n_threads": n_threads},
        )
        context.attach(self._threadpools[n_threads])
        return context

    def send(self, event: str, **facts: Any) -> None:
        """Reports one event."""
        self._reporter.send(event, **facts)

    def flash_attention(self) -> None:
        """Says what the last context decided."""
        self._reporter.send("flash_attention", enabled=self._library.log.flash_attention is True)

    @property
    def pacing(self) -> Pacing:
        """How many repetitions, and over how long."""
        return self._pacing

    @property
    def energy(self) -> EnergyMeter:
        """What counts joules."""
        return self._energy


class _Group:
    """Tests at one depth or with one number of threads, which take turns until enough is known or time is up."""

    def __init__(
        self,
        benchmark: Benchmark,
        model: Model,
        tests: tuple[BenchTest, ...],
        budget_s: float,
        part: tuple[float, float],
        *,
        shrink_depth: bool = False,
    ) -> None:
        self._benchmark, self._model, self._wanted = benchmark, model, tests
        self._budget_s, self._part, self._shrink = budget_s, part, shrink_depth
        self._started = time.monotonic()
        self._saved = SavedState()

    def run(self) -> None:
        """Measures the group."""
        if self._budget_s <= 0:
            names = ", ".join(test.name for test in self._wanted)
            self._benchmark.send("note", text=f"{names} was left out: the time was up")
            return
        tests = self._fitted()
        if not tests:
            return
        contexts = [self._benchmark.context(self._model, test) for test in tests]
        self._benchmark.flash_attention()
        self._warm_up(contexts, tests)
        self._repeat(contexts, tests)
        for context in contexts:
            context.free()

    def _fitted(self) -> tuple[BenchTest, ...]:
        """The tests, shortened where even one repetition of each would not fit; none where the depth would not."""
        prompt_s, gen_s = self._probe()
        depth = self._wanted[0].depth
        while self._shrink and depth > _LEAST_DEPTH and depth * prompt_s > self._budget_s * _FILLING_SHARE:
            depth //= 2
        if depth * prompt_s > self._budget_s * _FILLING_SHARE:
            self._benchmark.send(
                "note",
                text=f"d{depth} was left out: filling its context would take about {depth * prompt_s:.0f} s "
                f"of the {self._budget_s:.0f} s there are",
            )
            return ()
        left_s = self._budget_s - (time.monotonic() - self._started) - depth * prompt_s
        # Several sequences together take between one's time and that of all; the middle is near enough.
        each_s = [
            prompt_s if test.phase == "prefill" else gen_s * (1 + test.n_sequences) / 2
            for test in self._wanted
        ]
        costs_s = [test.n_tokens * s for test, s in zip(self._wanted, each_s, strict=True)]
        found = [
            replace(test, n_tokens=tokens_that_fit(test.n_tokens, s, share_s), depth=depth)
            for test, s, share_s in zip(self._wanted, each_s, shared_out(costs_s, left_s), strict=True)
        ]
        if short := [
            test.name for test, full in zip(found, self._wanted, strict=True) if test.n_tokens < full.n_tokens
        ]:
            wanted = ", ".join(test.name for test in self._wanted)
            self._benchmark.send(
                "note",
                text=f"{wanted} became {', '.join(short)}: longer would not fit into {self._budget_s:.0f} s",
            )
        return tuple(found)

    def _probe(self) -> tuple[float, float]:
        """Seconds per prompt token and per generated token, from very little work, to plan the rest."""
        first = replace(self._wanted[0], n_tokens=_PROBE_TOKENS, depth=0, n_sequences=1)
        context = self._benchmark.context(self._model, first)
        context.run_generation(context.generation_work(1))  # touches every weight, maybe from disk
        gen_s = _fastest(lambda: context.run_generation(context.generation_work(1)), self._budget_s)
        context.clear()

        def prompt() -> None:
            context.clear()
            context.run_prompt(context.prompt_work(_PROBE_TOKENS))

        prompt_s = _fastest(prompt, self._budget_s)
        context.free()
        return prompt_s / _PROBE_TOKENS, gen_s

    def _warm_up(self, contexts: list[Context], tests: tuple[BenchTest, ...]) -> None:
        """Runs each test once untimed, as llama-bench does for prompts, where it is quick enough."""
        for context, test in zip(contexts, tests, strict=True):
            begin = time.monotonic()
            _repetition(
                context, replace(test, n_tokens=min(test.n_tokens, _PROBE_TOKENS), depth=0), SavedState()
            )
            context.clear()
            per_token_s = (time.monotonic() - begin) / min(test.n_tokens, _PROBE_TOKENS)
            if test.phase == "prefill" and per_token_s * test.n_tokens * 8 < self._budget_s:
                _repetition(context, replace(test, depth=0), SavedState())

    def _repeat(self, contexts: list[Context], tests: tuple[BenchTest, ...]) -> None:
        pacing, budget_s = self._benchmark.pacing, self._budget_s
        samples: list[list[float]] = [[] for _ in tests]
        going = True
        while going:
            going = False
            for context, test, found in zip(contexts, tests, samples, strict=True):
                elapsed_s = time.monotonic() - self._started
                if not wants_another(found, elapsed_s, budget_s, pacing):
                    continue
                going = True
                wall_s, cpu_s, joules = self._timed(context, test)
                found.append(wall_s)
                n_done = min(len(each) for each in samples)
                done = done_fraction(n_done, time.monotonic() - self._started, budget_s, pacing)
                start, end = self._part
                self._benchmark.send(
                    "sample",
                    phase=test.phase,
                    n_tokens=test.n_tokens,
                    n_depth=test.depth,
                    n_sequences=test.n_sequences,
                    n_threads=test.n_threads,
                    sample_s=wall_s,
                    cpu_s=cpu_s,
                    energy_j=joules,
                    done_fraction=_LOADING_SHARE + (1 - _LOADING_SHARE) * (start + (end - start) * done),
                    text=f"{test.name}: {test.n_tokens * test.n_sequences / wall_s:,.1f} tok/s",
                )

    def _timed(self, context: Context, test: BenchTest) -> tuple[float, float, float | None]:
        return _repetition(context, test, self._saved, self._benchmark.energy)


def _repetition(
    context: Context, test: BenchTest, saved: SavedState, energy: EnergyMeter | None = None
) -> tuple[float, float, float | None]:
    """Seconds by the clock and of the processor, and joules, of one repetition; filling a depth is not timed."""
    context.clear()
    if test.depth:
        context.fill(test.depth, saved)
    if test.phase == "prefill":
        work, run = context.prompt_work(test.n_tokens), context.run_prompt
    elif test.n_sequences > 1:
        work, run = context.batched_work(test.n_tokens, test.n_sequences), context.run_generation
    else:
        work, run = context.generation_work(test.n_tokens), context.run_generation
    if energy is not None:
        energy.joules_since()
    cpu, wall = time.process_time(), time.perf_counter()
    run(work)
    found = time.perf_counter() - wall, time.process_time() - cpu, energy.joules_since() if energy else None
    if test.n_sequences > 1:
        context.free_batches(work)
    return found


def _fastest(work: Callable[[], None], budget_s: float) -> float:
    """The best of three tries, so that one hiccup does not shorten the tests; of one if it takes long."""
    times: list[float] = []
    while not times or (len(times) < _PROBE_TRIES and sum(times) < _PROBE_SHARE * budget_s):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)
