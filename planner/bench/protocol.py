"""What is asked of a benchmark, and the lines in which its child process answers.

The child reads one JSON request on its standard input and writes one JSON object per line, each with an
"event": engine, loading, model, memory, flash_attention, sample, conditions, note, done or error. A line may carry
"done_fraction" (0..1) and "text" for a progress display.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from planner.errors import BenchError
from planner.estimate.measurement import EngineMemory, Phase, test_name

KV_TYPES = ("f16", "bf16", "f32", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")
MAX_LINE_BYTES = 64 * 1024
_BATCHED_TOKENS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchTest:
    """One test: a prompt, or tokens generated, after `depth` tokens, for some sequences at once."""

    phase: Phase
    n_tokens: int  # for each sequence
    depth: int = 0
    n_sequences: int = 1
    n_threads: int | None = None  # where not those of the run

    @property
    def name(self) -> str:
        """As llama-bench would print it, with what it has no words for behind."""
        return test_name(self.phase, self.n_tokens, self.depth, self.n_sequences, self.n_threads)


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRequest:
    """What to measure: llama-bench's defaults (pp512 and tg128, all layers on the GPU if there is one).

    Beside these, `n_gen` tokens for each of several sequences at once (`batches`), and both tests with other
    numbers of threads. `long_depth` asks for generation after that many tokens, or after half as many again and
    again until filling the cache fits into the time.
    """

    model_path: Path
    n_prompt: int = 512
    n_gen: int = 128
    depths: tuple[int, ...] = (0,)
    n_threads: int | None = None  # None: as llama-bench chooses, one thread per core
    n_gpu_layers: int = -1  # all of them
    n_batch: int = 2048
    n_ubatch: int = 512
    flash_attention: bool | None = None  # None: the engine decides
    kv_type: str = "f16"
    batches: tuple[int, ...] = ()
    threads: tuple[int, ...] = ()
    long_depth: int | None = None
    budget_s: float = 60.0  # for measuring, after the model is loaded
    load_limit_s: float = 600.0

    def __post_init__(self) -> None:
        if self.n_prompt < 0 or self.n_gen < 0 or self.n_prompt + self.n_gen == 0:
            raise BenchError(
                f"asked for {self.n_prompt} prompt and {self.n_gen} generated tokens; neither may be negative "
                "and one must be positive"
            )
        if not self.depths or min(self.depths) < 0:
            raise BenchError(f"asked for the depths {list(self.depths)}; give at least one, none negative")
        if min((*self.batches, *self.threads, self.long_depth or 1)) < 1:
            raise BenchError(
                f"asked for batches {list(self.batches)}, threads {list(self.threads)} and the depth "
                f"{self.long_depth}; each must be at least 1"
            )
        if self.n_threads is not None and self.n_threads < 1:
            raise BenchError(f"asked for {self.n_threads} threads; at least 1 is needed")
        if self.n_batch < 1 or self.n_ubatch < 1:
            raise BenchError(f"asked for batches of {self.n_batch}/{self.n_ubatch}; at least 1 is needed")
        if self.budget_s <= 0 or self.load_limit_s <= 0:
            raise BenchError("the time for a benchmark must be positive")
        _check_kv_type(self.kv_type)

    def groups(self) -> tuple[tuple[BenchTest, ...], ...]:
        """Tests that take turns, group by group; the long depth apart, which depends on the engine's speed."""
        groups = []
        for depth in self.depths:
            batches = self.batches if depth == self.depths[0] else ()
            groups.append((*self._pair(depth=depth), *self._batched(depth, batches)))
        groups += [self._pair(n_threads=n) for n in self.threads]
        return tuple(groups)

    def _pair(self, depth: int = 0, n_threads: int | None = None) -> tuple[BenchTest, ...]:
        wanted: tuple[tuple[Phase, int], ...] = (("prefill", self.n_prompt), ("decode", self.n_gen))
        return tuple(
            BenchTest(phase=phase, n_tokens=n, depth=depth, n_threads=n_threads) for phase, n in wanted if n
        )

    def _batched(self, depth: int, batches: tuple[int, ...]) -> tuple[BenchTest, ...]:
        n_tokens = self.n_gen or _BATCHED_TOKENS
        return tuple(
            BenchTest(phase="decode", n_tokens=n_tokens, depth=depth, n_sequences=n) for n in batches if n > 1
        )

    def to_json(self) -> str:
        """The line that the child reads."""
        groups = [[asdict(test) for test in group] for group in self.groups()]
        return json.dumps(
            {"mode": "bench", **asdict(self), "model_path": str(self.model_path), "groups": groups}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryRequest:
    """Under which flags to ask the engine how much memory it would allocate."""

    model_path: Path
    n_context_tokens: int
    n_batch: int = 2048
    n_ubatch: int = 512
    n_sequences: int = 1
    n_gpu_layers: int = -1
    flash_attention: bool | None = None
    kv_type: str = "f16"
    kv_unified: bool = False
    swa_full: bool = False
    n_threads: int | None = None
    allocate: bool = False  # True: really load the weights; False: the engine only adds the sizes up

    def __post_init__(self) -> None:
        if min(self.n_context_tokens, self.n_batch, self.n_ubatch, self.n_sequences) < 1:
            raise BenchError("context, batches and sequences must each be at least 1")
        _check_kv_type(self.kv_type)

    def to_json(self) -> str:
        """The line that the child reads."""
        return json.dumps({"mode": "memory", **asdict(self), "model_path": str(self.model_path)})


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSubject:
    """Which model on which machine: what a run is filed under, and the engine itself cannot tell."""

    model_name: str
    model_fingerprint: str  # sha256 of the GGUF header
    quantization: str
    machine_fingerprint: str
    machine_name: str
    n_parameters: int | None = None  # where the engine does not tell
    read_bytes_per_token: float | None = None  # from the tensor table, for calibrating other models' speed
    matmul_parameters_per_token: float | None = None
    is_mixture: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineBuffer:
    """What one kind of memory ("CPU", "CPU_REPACK", "CUDA0") holds."""

    name: str
    weights_bytes: int
    context_bytes: int  # KV cache and recurrent state
    compute_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryReport:
    """The engine's own account of its memory: sums by component, and the buffers they are in."""

    memory: EngineMemory
    buffers: tuple[EngineBuffer, ...]
    n_context_tokens: int  # as the engine rounded it
    flash_attention: bool
    engine_build: str


def parse_event(line: bytes) -> dict[str, Any] | None:
    """One line of the child as an object with an "event", or None if it is anything else."""
    if len(line) > MAX_LINE_BYTES:
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


def _check_kv_type(kv_type: str) -> None:
    if kv_type not in KV_TYPES:
        raise BenchError(f"the KV cache type {kv_type!r} is unknown; choose one of {', '.join(KV_TYPES)}")
