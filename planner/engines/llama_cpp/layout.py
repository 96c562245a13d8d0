"""Which device holds what of a model, as the rules of an engine's buffers need it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where each layer and the head compute, and which tensors lie apart from their layer.

    GPUs go by index, `None` is main memory. `homes` holds only tensors whose home is not their layer's,
    by layer and role ("ffn_up_exps").
    """

    layers: tuple[int | None, ...]
    head: int | None
    n_gpus: int
    gpu_kinds: tuple[str, ...] = ()  # "cuda", "rocm", "vulkan", "metal"
    homes: tuple[tuple[int, str, int | None], ...] = ()
    overridden: bool = False  # whether any override is in force, which turns pipelining off
    only_gpu: int | None = None  # the one GPU that the engine is given (-sm none); None for all of them


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeBuffers:
    """Bytes allocated to compute on each GPU and in main memory."""

    gpu_bytes: tuple[int, ...]
    host_bytes: int
