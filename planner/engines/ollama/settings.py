"""What a person can set in Ollama, and what it takes where nobody sets anything.

llm/llama_server.go and server/sched.go of v0.33.0-rc2.
"""

from dataclasses import dataclass

from hardware.units import MIB
from planner.engines.ollama.gpu_choice import OllamaGpu
from planner.engines.ollama.versions import CURRENT, Version, default_context_tokens, default_sequences

# Families that get one sequence whatever is asked (server/sched.go, load), their names without underscores.
ONE_SEQUENCE_FAMILIES = frozenset(
    ("mllama", "qwen3vl", "qwen3vlmoe", "qwen35", "qwen35moe", "qwen3next", "lfm2", "lfm2moe", "nemotronh",
     "nemotronhmoe", "nemotronhomni")
)  # fmt: skip
LEAST_CONTEXT_TOKENS = 4
LEAST_CONTEXT_WITH_IMAGES = 2048
# What llama-server's --fit leaves free on every GPU (LLAMA_ARG_FIT_TARGET), or beside a projector's weights.
FIT_MARGIN_BYTES = 1024 * MIB
PROJECTOR_HEADROOM_BYTES = 1024 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaOptions:
    """Parameters of a model that decide memory; None where Ollama chooses."""

    num_ctx: int | None = None
    num_batch: int | None = None
    num_gpu: int | None = None  # layers on GPUs
    main_gpu: int | None = None
    use_mmap: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaEnvironment:
    """Variables of the server that decide memory; None where they are not set."""

    context_length: int | None = None
    num_parallel: int | None = None
    kv_cache_type: str | None = None
    flash_attention: bool | None = None
    gpu_overhead_bytes: int = 0  # of every GPU, not counted for the default context
    spread: bool = False  # over all GPUs even where one would do


NO_OPTIONS = OllamaOptions()
NO_ENVIRONMENT = OllamaEnvironment()


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaHost:
    """What Ollama's choices depend on beside the settings."""

    gpus: tuple[OllamaGpu, ...] = ()
    ram_free_bytes: int | None = None
    ram_bytes: int | None = None
    os: str = "linux"  # "windows", "darwin"


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaModel:
    """What Ollama's choices depend on of the model."""

    family: str
    context_tokens: int | None = None  # that it was trained with
    reads_images: bool = False
    n_layers: int | None = None
    file_bytes: int | None = None
    f16_cache_bytes_per_token: int | None = None  # by Ollama's rough count, see rough_cache_bytes

    def guess_bytes(self, all_tokens: int) -> int | None:
        """What Ollama supposes it takes before llama-server is started (llm/llama_server.go, PredictServerVRAM)."""
        if self.file_bytes is None or self.f16_cache_bytes_per_token is None:
            return None
        return self.file_bytes + self.f16_cache_bytes_per_token * all_tokens


def sequences(model: OllamaModel, environment: OllamaEnvironment, version: Version = CURRENT) -> int:
    """Requests served at once."""
    if model.family.replace("_", "") in ONE_SEQUENCE_FAMILIES:
        return 1
    return max(1, environment.num_parallel or default_sequences(version))


def context_tokens(
    model: OllamaModel,
    options: OllamaOptions,
    environment: OllamaEnvironment,
    host: OllamaHost,
    version: Version = CURRENT,
) -> int:
    """Context of one sequence, at most what the model was trained with."""
    tokens = options.num_ctx or environment.context_length
    if not tokens:
        memory = sum(gpu.memory_bytes - environment.gpu_overhead_bytes for gpu in host.gpus)
        tokens = default_context_tokens(version, memory)
    tokens = max(tokens, LEAST_CONTEXT_WITH_IMAGES if model.reads_images else LEAST_CONTEXT_TOKENS)
    return tokens if model.context_tokens is None else min(tokens, model.context_tokens)


def fit_margin_bytes(projector_bytes: int | None = None) -> int:
    """What has to stay free on every GPU when llama-server fits the layers itself.

    A projector that goes to the GPU is added with a GiB of headroom, because --fit does not see it.
    """
    if not projector_bytes:
        return FIT_MARGIN_BYTES
    return -(-(projector_bytes + PROJECTOR_HEADROOM_BYTES) // MIB) * MIB
