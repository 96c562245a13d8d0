"""What decides a graph beside the model: flags, and which layer lies where."""

from dataclasses import dataclass

from planner.engines.llama_cpp.builds import LIMITS_OUTPUTS, since
from planner.engines.llama_cpp.cache import cells_per_stream
from planner.engines.llama_cpp.flags import LlamaCppFlags


@dataclass(frozen=True, slots=True)
class GraphLayer:
    """One layer of the graph: the stored layer it is like, its GPU, and the tensors that lie elsewhere."""

    stored: int
    gpu: int | None
    homes: tuple[tuple[str, int | None], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphPlan:
    """A graph's layers with their GPUs, `None` for main memory, and the tensors that lie elsewhere.

    A layer is given by one of the model's that is like it, and stands at its own place in the graph.
    """

    flags: LlamaCppFlags
    layers: tuple["GraphLayer", ...]
    head: int | None
    n_gpus: int
    gpu_kinds: tuple[str, ...]
    whole: bool  # every layer and the head are on GPUs
    pipelined: bool
    # Norms and attention without offload are held on their device. The engine's planning without allocation
    # forgets that (ggml_backend_sched_reserve_size resets the scheduler), so it is off to compare with that.
    pins: bool = True

    @property
    def n_tokens(self) -> int:
        """Tokens of the largest batch, the same number for each sequence (llama_context::graph_reserve)."""
        n = self.flags.n_sequences
        return -(-self._n_wanted // n) * n

    @property
    def n_outputs(self) -> int:
        """Tokens whose logits may be asked for at once."""
        flags = self.flags
        limit = flags.n_batch
        if flags.n_outputs is not None and since(flags, LIMITS_OUTPUTS):
            limit = min(limit, flags.n_outputs)
        return min(self._n_wanted, limit)

    @property
    def _n_wanted(self) -> int:
        flags = self.flags
        context = cells_per_stream(flags) * (1 if flags.unified_cache else flags.n_sequences)
        return min(context, flags.tokens_at_once)
