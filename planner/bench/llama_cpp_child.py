"""The process that runs the engine, apart from ours: it may crash, hang or be killed without harm.

Run as `python -m planner.bench.llama_cpp_child`. It reads one JSON request on standard input, answers in
JSON lines on standard output (see planner.bench.protocol), and ends when its standard input closes, so that
it never outlives the program that started it.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from planner.bench.llama_cpp_library import (
    Context,
    EngineError,
    LlamaLibrary,
    Model,
    engine_memory,
    engine_threads,
)
from planner.bench.schedule import GPU_PACING, Pacing, Plan, done_fraction, plan, wants_another
from planner.estimate.measurement import EngineMemory

_PROBE_TOKENS = 32
_LOADING_SHARE = 0.1  # of the progress display


class _Reporter:
    """Writes events on the pipe to the parent."""

    def __init__(self, pipe: TextIO) -> None:
        self._pipe = pipe

    def send(self, event: str, **facts: Any) -> None:
        self._pipe.write(json.dumps({"event": event, **facts}) + "\n")
        self._pipe.flush()


class _Series:
    """The repetitions of both tests at one depth, alternating, within a time budget."""

    def __init__(
        self, contexts: dict[str, Context], chosen: Plan, depth: int, budget_s: float, pacing: Pacing
    ) -> None:
        self._contexts = contexts
        self._plan = chosen
        self._depth = depth
        self._budget_s = budget_s
        self._pacing = pacing
        self._samples: dict[str, list[float]] = {phase: [] for phase in contexts}

    def run(self, started: float, report: Callable[[str, float, float], None]) -> None:
        """Measures until enough is known or time is up; `report` gets phase, seconds and the part done."""
        going = True
        while going:
            going = False
            for phase, samples in self._samples.items():
                if not wants_another(samples, time.monotonic() - started, self._budget_s, self._pacing):
                    continue
                going = True
                samples.append(self._repetition(phase))
                n_done = min(len(each) for each in self._samples.values())
                part = done_fraction(n_done, time.monotonic() - started, self._budget_s, self._pacing)
                report(phase, samples[-1], part)

    def _repetition(self, phase: str) -> float:
        context = self._contexts[phase]
        context.clear()
        if self._depth:
            context.fill(self._depth)
        if phase == "prefill":
            work, run = context.prompt_work(self._plan.n_prompt), context.run_prompt
        else:
            work, run = context.generation_work(self._plan.n_gen), context.run_generation
        begin = time.perf_counter()
        run(work)
        return time.perf_counter() - begin


def main() -> int:
    """Serves one request; the exit status is 0 unless the engine itself brings the process down."""
    _die_alone()
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever libraries print must not mix with the events
    request = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    reporter = _Reporter(pipe)
    try:
        if request["mode"] == "memory":
            _memory(request, reporter)
        else:
            _bench(request, reporter)
    except (EngineError, ImportError) as error:
        reporter.send("error", message=" ".join(str(error).split()))
        return 0
    reporter.send("done", done_fraction=1.0)
    return 0


def _die_alone() -> None:
    """If memory runs out, the system should take this process and not the one that asked."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    score = Path("/proc/self/oom_score_adj")
    if score.exists():
        try:
            score.write_text("1000")
        except OSError as error:  # read-only /proc: only a precaution is lost
            print(f"oom_score_adj: {error}", file=sys.stderr)  # noqa: T201 (goes to the captured log)


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


def _open(reporter: _Reporter, n_gpu_layers: int) -> tuple[LlamaLibrary, str]:
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


def _memory(request: dict[str, Any], reporter: _Reporter) -> None:
    library, _ = _open(reporter, request["n_gpu_layers"])
    model = library.load(
        Path(request["model_path"]), request["n_gpu_layers"], allocate=request["allocate"]
    )
    context = model.context(
        n_context_tokens=request["n_context_tokens"],
        n_sequences=request["n_sequences"],
        kv_unified=request["kv_unified"],
        swa_full=request["swa_full"],
        **_context_options(request),
    )
    if not request["allocate"] and library.breakdown(context.handle) is None:
        raise EngineError(
            "this build of llama-cpp-python cannot add sizes up without loading; ask with allocate=True"
        )
    memory, buffers = engine_memory(library, context)
    reporter.send(
        "memory",
        **_memory_facts(memory),
        buffers=[
            [buffer.name, buffer.weights_bytes, buffer.context_bytes, buffer.compute_bytes]
            for buffer in buffers
        ],
        n_context_tokens=context.n_context_tokens,
        flash_attention=context.flash_attention,
    )


def _memory_facts(memory: EngineMemory) -> dict[str, int]:
    return {
        "weights_bytes": memory.weights_bytes,
        "kv_bytes": memory.kv_bytes,
        "state_bytes": memory.state_bytes,
        "compute_bytes": memory.compute_bytes,
        "output_bytes": memory.output_bytes,
    }


def _bench(request: dict[str, Any], reporter: _Reporter) -> None:
    library, backend = _open(reporter, request["n_gpu_layers"])
    path, n_gpu_layers = Path(request["model_path"]), request["n_gpu_layers"]
    options = _context_options(request)
    n_context_tokens = max(request["n_prompt"], request["n_gen"]) + max(request["depths"])
    dry = _dry_memory(library, path, n_gpu_layers, n_context_tokens, options)

    def loading(fraction: float) -> None:
        reporter.send("loading", done_fraction=fraction * _LOADING_SHARE, text="loading the model")

    model = library.load(path, n_gpu_layers, progress=loading)
    n_offloadable = model.n_layers + 1  # the engine counts the output layer too
    n_on_gpu = n_offloadable if n_gpu_layers < 0 else min(n_gpu_layers, n_offloadable)
    reporter.send(
        "model",
        description=model.description,
        model_bytes=model.size_bytes,
        n_parameters=model.n_parameters,
        n_threads=options["n_threads"],
        n_gpu_layers=0 if backend == "CPU" else n_on_gpu,
        done_fraction=_LOADING_SHARE,
        text="warming up",
    )
    if dry is not None:
        reporter.send("memory", **_memory_facts(dry), n_context_tokens=n_context_tokens)
    threadpool = library.threadpool(options["n_threads"])
    started = time.monotonic()
    for index, depth in enumerate(request["depths"]):
        left_s = request["budget_s"] - (time.monotonic() - started)
        share = (index, len(request["depths"]))
        budget_s = left_s / (len(request["depths"]) - index)
        _depth(request, reporter, model, threadpool, options, depth, budget_s, share, dry is None)
    model.free()


def _dry_memory(
    library: LlamaLibrary, path: Path, n_gpu_layers: int, n_context_tokens: int, options: dict[str, Any]
) -> EngineMemory | None:
    """The engine's own sum before anything is loaded: in a mapped load, buffers overlap and add up wrong."""
    model = library.load(path, n_gpu_layers, allocate=False)
    context = model.context(n_context_tokens=n_context_tokens, **options)
    known = library.breakdown(context.handle) is not None
    memory = engine_memory(library, context)[0] if known else None
    context.free()
    model.free()
    return memory


def _depth(
    request: dict[str, Any],
    reporter: _Reporter,
    model: Model,
    threadpool: Any,
    options: dict[str, Any],
    depth: int,
    budget_s: float,
    share: tuple[int, int],
    memory_unknown: bool,
) -> None:
    """Measures both tests at one depth: contexts, warm-up, then repetitions."""
    started = time.monotonic()
    contexts: dict[str, Context] = {}
    for phase, n_tokens in (("prefill", request["n_prompt"]), ("decode", request["n_gen"])):
        if n_tokens:
            contexts[phase] = model.context(n_context_tokens=n_tokens + depth, **options)
            contexts[phase].attach(threadpool)
    largest = max(contexts.values(), key=lambda context: context.n_context_tokens)
    reporter.send("flash_attention", enabled=largest.flash_attention)
    if memory_unknown and share[0] == 0:
        _send_logged_memory(reporter, model, contexts, options, request)
    prompt_s, gen_s = _probe(contexts)
    if depth and 1.5 * depth * prompt_s * len(contexts) > budget_s / 2:
        reporter.send(
            "note",
            text=f"d{depth} was left out: filling its context would take about "
            f"{depth * prompt_s * len(contexts):.0f} s of the {budget_s:.0f} s there are",
        )
    else:
        fill_s = depth * prompt_s * len(contexts)
        left_s = budget_s - (time.monotonic() - started) - fill_s
        chosen = plan(request["n_prompt"], request["n_gen"], prompt_s, gen_s, left_s)
        if (chosen.n_prompt, chosen.n_gen) != (request["n_prompt"], request["n_gen"]):
            reporter.send(
                "note",
                text=f"the tests were shortened to {chosen.n_prompt} prompt and {chosen.n_gen} generated "
                f"tokens: longer ones would not fit into {budget_s:.0f} s",
            )
        if chosen.full_warm_up and "prefill" in contexts:
            contexts["prefill"].clear()
            contexts["prefill"].run_prompt(contexts["prefill"].prompt_work(chosen.n_prompt))

        def report(phase: str, sample_s: float, part: float) -> None:
            tokens = chosen.n_prompt if phase == "prefill" else chosen.n_gen
            name = f"{'pp' if phase == 'prefill' else 'tg'}{tokens}" + (f" @ d{depth}" if depth else "")
            done = _LOADING_SHARE + (1 - _LOADING_SHARE) * (share[0] + part) / share[1]
            reporter.send(
                "sample",
                phase=phase,
                n_tokens=tokens,
                n_depth=depth,
                sample_s=sample_s,
                done_fraction=done,
                text=f"{name}: {tokens / sample_s:,.1f} tok/s",
            )

        pacing = Pacing() if model_on_cpu(request, model) else GPU_PACING
        _Series(contexts, chosen, depth, budget_s, pacing).run(started, report)
    for context in contexts.values():
        context.free()


def model_on_cpu(request: dict[str, Any], model: Model) -> bool:
    """Whether the CPU does the work, which shares its cores with everything else."""
    return not request["n_gpu_layers"] or model.library.gpu_backend() is None


def _probe(contexts: dict[str, Context]) -> tuple[float, float]:
    """Seconds per prompt and per generated token, from very little work, to plan the rest."""
    any_context = next(iter(contexts.values()))
    times = []
    for _ in range(2):  # the first touches every weight for the first time, maybe from disk
        begin = time.perf_counter()
        any_context.run_generation(any_context.generation_work(1))
        times.append(time.perf_counter() - begin)
    gen_s = times[-1]
    if "decode" in contexts and contexts["decode"] is not any_context:
        contexts["decode"].run_generation(contexts["decode"].generation_work(1))
    n_tokens = min(_PROBE_TOKENS, any_context.n_context_tokens - len(times))
    begin = time.perf_counter()
    any_context.run_prompt(any_context.prompt_work(n_tokens))
    return (time.perf_counter() - begin) / n_tokens, gen_s


def _send_logged_memory(
    reporter: _Reporter,
    model: Model,
    contexts: dict[str, Context],
    options: dict[str, Any],
    request: dict[str, Any],
) -> None:
    """Where the engine cannot be asked for sizes: from the log of one more context, made for its lines."""
    log = model.library.log
    log.buffers[:] = [line for line in log.buffers if line[1] == "model"]
    log.recurrent_mib = 0.0
    n_context_tokens = max(request["n_prompt"], request["n_gen"]) + request["depths"][0]
    context = model.context(n_context_tokens=n_context_tokens, **options)
    memory, _ = engine_memory(model.library, context)
    reporter.send("memory", **_memory_facts(memory), n_context_tokens=n_context_tokens)
    context.free()


if __name__ == "__main__":
    sys.exit(main())
