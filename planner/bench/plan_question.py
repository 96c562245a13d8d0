"""A question to the engine about memory: which file, which GPUs, which flags.

It travels as a JSON line to the process that holds the engine (planner.bench.referee_child). Nothing here runs
the engine; planner.bench.referee does.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from planner.bench.protocol import KV_TYPES
from planner.errors import BenchError

BACKENDS = ("CUDA", "ROCm", "Vulkan", "Metal")
SPLIT_MODES = ("none", "layer")
# Written by --cpu-moe and --n-cpu-moe (LLM_FFN_EXPS_REGEX in llama.cpp's common/common.h).
_EXPERTS_PATTERN = r"\.ffn_(up|down|gate|gate_up)_(ch|)exps"


@dataclass(frozen=True, slots=True, kw_only=True)
class PretendedGpu:
    """A GPU that need not exist, as the engine would see it."""

    description: str  # "NVIDIA GeForce RTX 4090"
    total_bytes: int
    free_bytes: int | None = None  # None: all of it; layers are divided in this proportion
    backend: str = "CUDA"
    integrated: bool = False  # shares the system's memory

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise BenchError(f"no rules for GPUs of {self.backend!r}; known are {', '.join(BACKENDS)}")
        if self.total_bytes <= 0 or (self.free_bytes is not None and self.free_bytes < 0):
            raise BenchError(
                f"{self.description}: memory must be positive, {self.total_bytes} bytes were given"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanQuestion:
    """A GGUF file (its header is enough), GPUs, and every flag that decides memory, with llama.cpp's defaults.

    Differences to llama-server's defaults: one sequence (it takes four), a unified cache as with one.
    """

    model_path: Path
    n_context_tokens: int
    gpus: tuple[PretendedGpu, ...] = ()
    n_batch: int = 2048
    n_ubatch: int = 512
    n_sequences: int = 1
    n_outputs: int | None = None  # tokens of a batch whose logits may be asked for; None: all of them
    unified_cache: bool = True
    k_type: str = "f16"
    v_type: str = "f16"
    flash_attention: bool | None = None  # None: the engine decides
    swa_full: bool = False
    n_rollback_states: int = 0  # copies of recurrent state kept for speculative decoding (n_rs_seq)
    n_gpu_layers: int = -1  # all, the output layer included
    split_mode: str = "layer"
    tensor_split: tuple[float, ...] = ()  # empty: by free memory
    main_gpu: int = 0
    tensor_overrides: tuple[tuple[str, str], ...] = ()  # (-ot) pattern and buffer type: "CPU", "CUDA0"
    kv_offload: bool = True
    op_offload: bool = True
    use_mmap: bool = True
    use_extra_buffers: bool = True  # repacked weights for the CPU (--no-repack turns it off)
    use_host_buffer: bool = True  # pinned memory (--no-host turns it off)
    load_mtp: bool = False  # the layers that predict further tokens
    embeddings: bool = False

    def __post_init__(self) -> None:
        if min(self.n_context_tokens, self.n_batch, self.n_ubatch, self.n_sequences) < 1:
            raise BenchError("context, batches and sequences must each be at least 1")
        for kind in (self.k_type, self.v_type):
            if kind.lower() not in KV_TYPES:
                raise BenchError(
                    f"the KV cache type {kind!r} is unknown; choose one of {', '.join(KV_TYPES)}"
                )
        if self.split_mode not in SPLIT_MODES:
            raise BenchError(
                f"the engine cannot plan split mode {self.split_mode!r}; choose {' or '.join(SPLIT_MODES)}"
            )
        if len(self.tensor_split) > len(self.gpus):
            raise BenchError(
                f"{len(self.tensor_split)} shares were given for {len(self.gpus)} GPUs; give one for each"
            )

    def to_json(self) -> str:
        """The line that the child reads."""
        return json.dumps({**asdict(self), "model_path": str(self.model_path)})

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> "PlanQuestion":
        """The record from the object that `to_json` wrote."""
        return cls(
            **{
                **data,
                "model_path": Path(data["model_path"]),
                "gpus": tuple(PretendedGpu(**gpu) for gpu in data["gpus"]),
                "tensor_split": tuple(data["tensor_split"]),
                "tensor_overrides": tuple((pattern, name) for pattern, name in data["tensor_overrides"]),
            }
        )


def cpu_moe_overrides(n_layers: int | None) -> tuple[tuple[str, str], ...]:
    """What --n-cpu-moe N (or --cpu-moe: None) means as tensor overrides: experts of the first N layers."""
    if n_layers is None:
        return ((_EXPERTS_PATTERN, "CPU"),)
    return tuple((rf"blk\.{layer}{_EXPERTS_PATTERN}", "CPU") for layer in range(n_layers))
