"""What a benchmark found: the records that calibrate later estimates."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Phase = Literal["prefill", "decode"]


def test_name(
    phase: Phase, n_tokens: int, depth: int = 0, n_sequences: int = 1, n_threads: int | None = None
) -> str:
    """As llama-bench names a test, with several sequences and threads behind: "tg128 x8 @ d512, 4 threads"."""
    name = f"{'pp' if phase == 'prefill' else 'tg'}{n_tokens}"
    name += f" x{n_sequences}" if n_sequences > 1 else ""
    name += f" @ d{depth}" if depth else ""
    return name if n_threads is None else f"{name}, {n_threads} thread{'s' if n_threads > 1 else ''}"


def lower_quartile(samples_s: Sequence[float]) -> float:
    """The time that a quarter of the repetitions stayed below (linear interpolation between order statistics)."""
    ordered = sorted(samples_s)
    position = (len(ordered) - 1) / 4
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdealTime:
    """One kind of operator of a test on one device, in the ideal seconds of the rates that the machine had then."""

    operator: str
    type_class: str
    gpu: int  # -1 is main memory
    ideal_s: float


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
    energy_j: float | None = None  # of all repetitions together, as the machine's own counters have it
    cpu_s: tuple[float, ...] = ()  # processor time of the same repetitions, all threads together
    low_s: float | None = None  # 80 % interval of one repetition, where it was not measured but extrapolated
    high_s: float | None = None
    operators: tuple[IdealTime, ...] = ()  # of a token, or of the prompt; what it teaches the speed model

    def __post_init__(self) -> None:
        if not self.samples_s or min(self.samples_s) <= 0:
            raise ValueError("a measurement needs at least one positive time")
        if self.n_sequences < 1:
            raise ValueError("a measurement is of one sequence or more")
        if (self.low_s is None) != (self.high_s is None) or not 0 < (self.low_s or 1) <= (self.high_s or 1):
            raise ValueError("an interval has two ends, the lower one first")

    @property
    def is_plain(self) -> bool:
        """One sequence, with the threads of the run."""
        return self.n_sequences == 1 and self.n_threads is None

    @property
    def n_tokens(self) -> int:
        """Tokens that one repetition processes."""
        n_tokens = self.n_prompt_tokens if self.phase == "prefill" else self.n_generated_tokens
        return n_tokens * self.n_sequences

    @property
    def name(self) -> str:
        """The name that llama-bench would print."""
        n_tokens = self.n_prompt_tokens if self.phase == "prefill" else self.n_generated_tokens
        return test_name(self.phase, n_tokens, self.n_depth_tokens, self.n_sequences, self.n_threads)

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
    def joules_per_token(self) -> float | None:
        """Energy of the whole machine's counters for one token, idle power included; None where not counted."""
        if self.energy_j is None:
            return None
        return self.energy_j / (self.n_tokens * len(self.samples_s))

    @property
    def best_tokens_per_s(self) -> float:
        """Rate of the fastest repetition."""
        return self.n_tokens / min(self.samples_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What the machine was like while a benchmark ran; None for what its system does not tell."""

    measuring_s: float
    other_cores: float | None  # kept busy by other programs, on average
    n_throttled: int | None  # times that processors were slowed for heat
    clock_hz: float | None  # mean over processors, at the end
    temperature_c: float | None  # of the hottest sensor, at the end
    on_battery: bool | None
    energy_counters: tuple[str, ...] = ()


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
    model_key: str = ""  # what the speed model calls the model; "" where it does not know it
    architecture: str = ""
    conditions: Conditions | None = None
    synthetic: Synthetic | None = None  # None: the model itself was run
    notes: tuple[str, ...] = ()  # "slowest burst 18 % under the best: the machine was busy"

    @property
    def is_served(self) -> bool:
        """Whether llama-server was timed, whose tokens are sampled too, and not the steps alone."""
        return self.engine_build.startswith("llama-server")

    def measurement(self, phase: Phase, n_depth_tokens: int = 0) -> Measurement | None:
        """The first measurement of a phase at a depth, of one sequence with the run's threads, or None."""
        for item in self.measurements:
            if item.is_plain and item.phase == phase and item.n_depth_tokens == n_depth_tokens:
                return item
        return None
