"""One benchmark of a model in Ollama: loaded, looked at, and timed in turn until the budget is spent."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from hardware.other_work import OtherWork
from hardware.units import format_bytes
from planner.bench.endpoint.prompt_text import PromptScale, prompt_of, scale_from
from planner.bench.ollama.client import OllamaClient
from planner.bench.ollama.timing import OllamaTiming, generated_sample_s, prompt_sample_s, timing_of
from planner.bench.protocol import BenchSubject
from planner.bench.schedule import Pacing, busy_note, done_fraction, wants_another
from planner.errors import BenchError, NotFoundError
from planner.estimate.measurement import BenchRun, Measurement, Phase
from planner.progress import Progress
from planner.quoting import quoted

_LOADED: Final = 0.2  # of the progress display
_FEW_WORDS, _MANY_WORDS = 60, 240
_ROOM_TOKENS: Final = 64
_MANY_BUSY: Final = 0.5  # processors that others use


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaRequest:
    """What to measure."""

    model: str
    n_prompt: int = 512
    n_gen: int = 128
    depth: int = 0  # tokens that lie in the cache for a second look at decoding; 0 for none
    n_threads: int | None = None
    n_gpu_layers: int | None = None  # None: Ollama decides
    budget_s: float = 60.0
    load_limit_s: float = 600.0
    pull: bool = False

    @property
    def n_context(self) -> int:
        """Tokens of context that the tests need."""
        return max(self.n_prompt, self.depth, 1) + self.n_gen + _ROOM_TOKENS


@dataclass(slots=True)
class _Found:
    samples: dict[tuple[int, Phase], list[float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def bench_ollama(
    client: OllamaClient,
    request: OllamaRequest,
    subject: BenchSubject,
    *,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> BenchRun:
    """Measures a model that a running Ollama has; KeyboardInterrupt keeps what was measured.

    Raises UnreachableError without a server, NotFoundError for a model that is not there, BenchError for all that
    goes wrong in between.
    """
    version = str(client.get("/api/version").get("version", ""))[:40]
    listed = find_in_ollama(client, request, progress)
    _say(progress, 0.05, "Ollama loads the model")
    options = _options(request)
    others = OtherWork()
    loading = client.ask(
        "/api/generate", {"model": request.model, "prompt": "", "options": options, "keep_alive": "10m"},
        limit_s=request.load_limit_s,
    )  # fmt: skip
    load_s = timing_of(loading).load_s
    running = _running(client, request.model)
    found = _Found()
    measure = _Measure(client, request, options, found, clock)
    try:
        measure.all(progress)
    except KeyboardInterrupt:
        if not found.samples:
            raise
        found.notes.append("stopped early with Ctrl-C")
    busy = others.n_busy()
    if busy is not None and busy > _MANY_BUSY and running.vram_share < 1:
        # Ollama's own runner is another program too: on processors what it uses cannot be told from the rest.
        found.notes.append(f"{busy:.1f} processors were busy during the test, Ollama's own among them")
    return _run(request, subject, version, listed, running, load_s, found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    size_bytes: int
    vram_bytes: int
    n_context: int

    @property
    def vram_share(self) -> float:
        return self.vram_bytes / self.size_bytes if self.size_bytes else 0.0


class _Measure:
    """Prompts and answers in turn."""

    def __init__(
        self,
        client: OllamaClient,
        request: OllamaRequest,
        options: Mapping[str, Any],
        found: _Found,
        clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._request = request
        self._options = options
        self._found = found
        self._clock = clock
        self._chance = random.Random(0)  # noqa: S311 (words of prompts)
        self._scale = PromptScale()

    def all(self, progress: Progress | None) -> None:
        """Every test in turn, until each has enough repetitions or the budget is spent."""
        request, pacing = self._request, Pacing(spread_s=min(20.0, self._request.budget_s / 2))
        few, many = (self._ask(n, 1).n_prompt for n in (_FEW_WORDS, _MANY_WORDS))  # also warms up
        self._scale = scale_from(_FEW_WORDS, few, _MANY_WORDS, many) if few and many else PromptScale()
        if not self._scale.is_counted:
            raise BenchError("Ollama does not count the tokens of prompts; its version may be too old")
        tests: list[tuple[int, Phase, Callable[[], float | None]]] = [
            (0, "prefill", self._prompt), (0, "decode", lambda: self._decode(1)),
        ]  # fmt: skip
        if request.depth:
            tests.append((request.depth, "decode", lambda: self._decode(request.depth)))
        started = self._clock()
        failures = 0
        while True:
            wanted = [
                test
                for test in tests
                if wants_another(
                    self._found.samples.get(test[:2], []), self._clock() - started, request.budget_s, pacing
                )
            ]
            if not wanted:
                break
            for depth, phase, take in wanted:
                sample = take()
                if sample is None:
                    failures += 1
                    if failures > 5:
                        raise BenchError(
                            f"{quoted(request.model)} ends its answers after a few tokens, or its prompts come from "
                            "the cache; nothing can be measured"
                        )
                else:
                    self._found.samples.setdefault((depth, phase), []).append(sample)
                done = done_fraction(
                    len(self._found.samples.get((0, "decode"), [])),
                    self._clock() - started,
                    request.budget_s,
                    pacing,
                )
                _say(progress, _LOADED + (1 - _LOADED) * done, f"{phase} in Ollama")

    def _prompt(self) -> float | None:
        timing = self._ask(self._scale.n_words(self._request.n_prompt), 1)
        return prompt_sample_s(timing, self._request.n_prompt)

    def _decode(self, depth: int) -> float | None:
        timing = self._ask(self._scale.n_words(depth), self._request.n_gen)
        return generated_sample_s(timing, self._request.n_gen)

    def _ask(self, n_words: int, n_gen: int) -> OllamaTiming:
        body = {
            "model": self._request.model,
            "prompt": prompt_of(n_words, self._chance),
            "raw": True,
            "keep_alive": "10m",
            "options": {**self._options, "num_predict": n_gen, "temperature": 0, "seed": 0},
        }
        limit_s = 2 * self._request.budget_s + 60
        timing = timing_of(self._client.last_of("/api/generate", body, quiet_s=limit_s, limit_s=limit_s))
        if not timing.is_done:
            raise BenchError("Ollama ended an answer half-way, without its counters; its log says why")
        return timing


def _options(request: OllamaRequest) -> dict[str, Any]:
    options: dict[str, Any] = {"num_ctx": request.n_context}
    if request.n_threads is not None:
        options["num_thread"] = request.n_threads
    if request.n_gpu_layers is not None:
        options["num_gpu"] = request.n_gpu_layers
    return options


def find_in_ollama(
    client: OllamaClient, request: OllamaRequest, progress: Progress | None
) -> Mapping[str, Any]:
    """The model's row in Ollama's list; pulled first where that was asked for.

    Raises NotFoundError for a model that is not there, BenchError for a pull that fails or a model that runs elsewhere.
    """
    for attempt in (0, 1):
        rows = client.get("/api/tags").get("models")
        wanted = _full_name(request.model)
        for row in rows if isinstance(rows, list) else []:
            if isinstance(row, dict) and _full_name(str(row.get("name", ""))) == wanted:
                if row.get("remote_host"):
                    raise BenchError(
                        f"{quoted(request.model)} runs on {quoted(row['remote_host'])}, not here"
                    )
                return row
        if attempt or not request.pull:
            break
        _pull(client, request.model, progress)
    raise NotFoundError(
        f"Ollama at {client.base_url} does not have {quoted(request.model)}; pull it with "
        f"`ollama pull`, or add --pull"
    )


def _pull(client: OllamaClient, model: str, progress: Progress | None) -> None:
    last = ""
    for part in client.stream("/api/pull", {"model": model}, quiet_s=120.0, limit_s=24 * 3600.0):
        last = str(part.get("status", ""))[:60]
        total, completed = part.get("total"), part.get("completed")
        if isinstance(total, int) and isinstance(completed, int) and total > 0:
            _say(
                progress,
                0.05 * min(1.0, completed / total),
                f"Ollama pulls: {completed / total:.0%} of a layer",
            )
    if last != "success":
        raise BenchError(f"Ollama's pull of {quoted(model)} ended with {quoted(last)} and not with success")


def _full_name(name: str) -> str:
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _running(client: OllamaClient, model: str) -> _Running:
    """What /api/ps says of the loaded model; zeros where this version does not say."""
    rows = client.get("/api/ps").get("models")
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, dict) and _full_name(str(row.get("name", ""))) == _full_name(model):
            return _Running(
                size_bytes=_whole(row.get("size")),
                vram_bytes=_whole(row.get("size_vram")),
                n_context=_whole(row.get("context_length")),
            )
    return _Running(size_bytes=0, vram_bytes=0, n_context=0)


def _whole(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 2**60 else 0


def _run(
    request: OllamaRequest,
    subject: BenchSubject,
    version: str,
    listed: Mapping[str, Any],
    running: _Running,
    load_s: float,
    found: _Found,
) -> BenchRun:
    if not found.samples:
        raise BenchError("nothing was measured within the budget; allow more with --budget")
    measurements = tuple(
        Measurement(
            phase=phase,
            n_prompt_tokens=request.n_prompt if phase == "prefill" else 0,
            n_generated_tokens=request.n_gen if phase == "decode" else 0,
            n_depth_tokens=depth,
            samples_s=tuple(samples),
        )
        for (depth, phase), samples in found.samples.items()
    )
    notes = [*found.notes, *filter(None, (busy_note(item.name, item.samples_s) for item in measurements))]
    notes.append(
        f"Ollama took {load_s:.1f} s to load the model; it decides on flash attention and batches itself"
    )
    if running.size_bytes:
        notes.append(
            f"`ollama ps`: {format_bytes(running.size_bytes)}, {running.vram_share:.0%} of it in GPU memory, "
            f"{running.n_context:,} tokens of context"
        )
    return BenchRun(
        model_name=subject.model_name,
        model_path=f"ollama:{request.model}",
        model_fingerprint=subject.model_fingerprint or str(listed.get("digest", ""))[:80],
        model_bytes=_whole(listed.get("size")),
        n_parameters=subject.n_parameters or 0,
        quantization=subject.quantization,
        engine="ollama",
        engine_build=f"Ollama {version}",
        backend="CPU" if running.vram_bytes == 0 else "GPU",
        machine_fingerprint=subject.machine_fingerprint,
        machine_name=subject.machine_name,
        n_threads=request.n_threads or 0,
        n_gpu_layers=-1 if request.n_gpu_layers is None else request.n_gpu_layers,
        n_batch=512,
        n_ubatch=512,
        n_context_tokens=running.n_context,
        kv_type="f16",
        flash_attention=True,  # "auto" on devices that support it (llm/llama_server.go)
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        measurements=measurements,
        memory=None,
        read_bytes_per_token=subject.read_bytes_per_token,
        matmul_parameters_per_token=subject.matmul_parameters_per_token,
        is_mixture=subject.is_mixture,
        notes=tuple(notes),
    )


def _say(progress: Progress | None, done: float, text: str) -> None:
    if progress is not None:
        progress(done, text)
