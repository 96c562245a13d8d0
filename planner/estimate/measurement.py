"""What a benchmark found: the records that calibrate later estimates."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Phase = Literal["prefill", "decode"]


def lower_quartile(samples_s: Sequence[float]) -> float:
    """The time that a quarter of the repetitions stayed below (linear interpolation between order statistics)."""
    ordered = sorted(samples_s)
    position = (len(ordered) - 1) / 4
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One benchmark test, such as pp512 or "tg128 @ d4096": repeated timings of the same work.

    `samples_s` are the times of whole repetitions, each processing `n_tokens`. Rates follow llama-bench:
    the mean and the sample standard deviation of per-repetition rates. `quartile_tokens_per_s` uses the
    lower quartile of time, which repeats within a few per cent on machines whose mean moves by 20 %.
    """

    phase: Phase
    n_prompt_tokens: int
    n_generated_tokens: int
    n_depth_tokens: int
    samples_s: tuple[float, ...]
    n_sequences: int = 1  # decoded at once; a repetition then yields n_generated_tokens for each of them
    n_threads: int | None = None  # where not those of the run
    cpu_s: tuple[float, ...] = ()  # processor time of the same repetitions, all threads together
    low_s: float | None = None  # 80 % interval of one repetition, where it was not measured but extrapolated
    high_s: float | None = None

    def __post_init__(self) -> None:
        if not self.samples_s or min(self.samples_s) <= 0:
            raise ValueError("a measurement needs at least one positive time")
        if self.n_sequences < 1:
            raise ValueError("a measurement is of one sequence or more")
        if (self.low_s is None) != (self.high_s is None) or not 0 < (self.low_s or 1) <= (self.high_s or 1):
            raise ValueError("an interval has two ends, the lower one first")

    @property
    def n_tokens(self) -> int:
        """Tokens that one repetition processes."""
        n_tokens = self.n_prompt_tokens if self.phase == "prefill" else self.n_generated_tokens
        return n_tokens * self.n_sequences

    @property
    def name(self) -> str:
        """The name that llama-bench would print."""
        name = f"pp{self.n_prompt_tokens}" if self.phase == "prefill" else f"tg{self.n_generated_tokens}"
        name += f" x{self.n_sequences}" if self.n_sequences > 1 else ""
        name += f" @ d{self.n_depth_tokens}" if self.n_depth_tokens else ""
        return f"{name}, {self.n_threads} threads" if self.n_threads is not None else name

    @property
    def rates_tokens_per_s(self) -> tuple[float, ...]:
        """Tokens per second of each repetition."""
        return tuple(self.n_tokens / sample_s for sample_s in self.samples_s)

    @property
    def mean_tokens_per_s(self) -> float:
        """Mean of the repetitions' rates, as llama-bench prints it."""
        return sum(self.rates_tokens_per_s) / len(self.samples_s)

    @property
    def stddev_tokens_per_s(self) -> float:
        """Sample standard deviation of the repetitions' rates; 0 for a single one."""
        if len(self.samples_s) < 2:
            return 0.0
        mean = self.mean_tokens_per_s
        squares = sum((rate - mean) ** 2 for rate in self.rates_tokens_per_s)
        return float((squares / (len(self.samples_s) - 1)) ** 0.5)

    @property
    def quartile_tokens_per_s(self) -> float:
        """Rate at the lower quartile of time (linear interpolation between order statistics)."""
        return self.n_tokens / lower_quartile(self.samples_s)

    @property
    def best_tokens_per_s(self) -> float:
        """Rate of the fastest repetition."""
        return self.n_tokens / min(self.samples_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineMemory:
    """Bytes the engine itself reported allocating, by component, summed over devices."""

    weights_bytes: int
    kv_bytes: int
    state_bytes: int
    compute_bytes: int
    output_bytes: int

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return self.weights_bytes + self.kv_bytes + self.state_bytes + self.compute_bytes + self.output_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ShallowTest:
    """One test of one shallow file, with the work of its layers: bytes per token, or FLOP of the prompt."""

    phase: Phase
    n_tokens: int
    n_depth_tokens: int
    work: float
    samples_s: tuple[float, ...]
    cpu_s: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShallowRun:
    """What was measured on one file with a few of the model's layers and random weights."""

    layers: tuple[int, ...]
    n_bytes: int
    other_bytes: (
        int  # of other memory, read between two steps so that caches are as cold as with the whole model
    )
    tests: tuple[ShallowTest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthetic:
    """How the figures of a model that was never run here came about."""

    n_layers: int  # of the whole model
    files: tuple[ShallowRun, ...]
    disk_bytes: int
    writing_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRun:
    """One benchmark of one model on one machine, with everything needed to trust or repeat it."""

    model_name: str
    model_path: str
    model_fingerprint: str  # sha256 of the GGUF header; the same file anywhere has the same one
    model_bytes: int  # tensor bytes, as llama_model_size reports
    n_parameters: int
    quantization: str
    engine: str  # "llama.cpp"
    engine_build: str  # "llama-cpp-python 0.3.36, …"
    backend: str  # "CPU", "CUDA", "Metal", "Vulkan", "ROCm"
    machine_fingerprint: (
        str  # CPU model, usable threads and GPUs: estimates use runs of the same machine only
    )
    machine_name: str
    n_threads: int
    n_gpu_layers: int
    n_batch: int
    n_ubatch: int
    n_context_tokens: int
    kv_type: str
    flash_attention: bool
    measured_at: str  # ISO 8601, UTC
    measurements: tuple[Measurement, ...]
    memory: EngineMemory | None
    read_bytes_per_token: float | None = None  # weights that decoding one token reads, by the tensor table
    matmul_parameters_per_token: float | None = None  # weights that a prompt token is multiplied with
    is_mixture: bool = False  # a mixture of experts, whose tokens read only a part
    synthetic: Synthetic | None = None  # None: the model itself was run
    notes: tuple[str, ...] = ()  # "slowest burst 18 % under the best: the machine was busy"

    def measurement(self, phase: Phase, n_depth_tokens: int = 0) -> Measurement | None:
        """The first measurement of a phase at a depth, of one sequence with the run's threads, or None."""
        for item in self.measurements:
            plain = item.n_sequences == 1 and item.n_threads is None
            if plain and item.phase == phase and item.n_depth_tokens == n_depth_tokens:
                return item
        return None
