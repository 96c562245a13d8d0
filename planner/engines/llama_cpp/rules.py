"""The memory rules of one engine: what differs between llama.cpp, its builds and its forks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from planner.engines.llama_cpp import buffers, cache, compute, runs_as
from planner.engines.llama_cpp.flags import LlamaCppFlags
from planner.engines.llama_cpp.graph.network import graph_is_known
from planner.engines.llama_cpp.layout import ComputeBuffers, Layout
from planner.engines.llama_cpp.split import Split, layer_gpus
from planner.model.network import LayerGroup, Network
from planner.model.storage import Storage

# Where it moved to main memory is not known; the engine in llama-cpp-python 0.3.36 keeps it there (llama-arch.cpp).
_LAYER_TABLES_WITH_HEAD_UNTIL = 8680


class Rules(Protocol):
    """What an engine of the llama.cpp family allocates beside the weights, and where it puts layers."""

    def layer_gpus(
        self, n_layers: int, split: Split, free_bytes: Sequence[int], n_extra_layers: int = 0
    ) -> tuple[int | None, ...]:
        """For each layer and then the head, the index of its GPU, or None for RAM."""

    def tables_with_head(self, flags: LlamaCppFlags) -> tuple[str, ...]:
        """Tables of embeddings, by role, that lie with the output head and not in main memory."""

    def as_run(self, network: Network) -> Network:
        """The network as this engine computes it."""

    def layer_kv_bytes(self, group: LayerGroup, flags: LlamaCppFlags) -> int:
        """Cache bytes of one layer of a group, in a network `as_run`."""

    def layer_state_bytes(self, group: LayerGroup, flags: LlamaCppFlags) -> int:
        """Recurrent state of one layer of a group."""

    def output_bytes(self, network: Network, flags: LlamaCppFlags) -> int:
        """Logits and embeddings kept for sampling, in main memory."""

    def compute_buffers(
        self, network: Network, storage: Storage, flags: LlamaCppFlags, layout: Layout
    ) -> ComputeBuffers:
        """What every device needs to compute, all devices at once, because they depend on each other."""


@dataclass(frozen=True, slots=True)
class Mainline:
    """llama.cpp itself; with `pins` off as its planning without allocation sees it (see GraphPlan)."""

    pins: bool = True

    def layer_gpus(
        self, n_layers: int, split: Split, free_bytes: Sequence[int], n_extra_layers: int = 0
    ) -> tuple[int | None, ...]:
        """The head is the last layer, so that it is the first on a GPU."""
        return layer_gpus(n_layers, split, free_bytes, n_extra_layers)

    def tables_with_head(self, flags: LlamaCppFlags) -> tuple[str, ...]:
        """Those of Gemma's layers, up to some build after b8680, whose log on Metal shows it."""
        is_old = flags.build is not None and flags.build <= _LAYER_TABLES_WITH_HEAD_UNTIL
        return ("per_layer_token_embd",) if is_old else ()

    def as_run(self, network: Network) -> Network:
        """The network as llama.cpp computes it."""
        return runs_as.as_run(network)

    def layer_kv_bytes(self, group: LayerGroup, flags: LlamaCppFlags) -> int:
        """Cache bytes of one layer of a group, in a network `as_run`."""
        return cache.layer_kv_bytes(group, flags)

    def layer_state_bytes(self, group: LayerGroup, flags: LlamaCppFlags) -> int:
        """Recurrent state of one layer of a group, for every sequence."""
        return cache.layer_state_bytes(group, flags)

    def output_bytes(self, network: Network, flags: LlamaCppFlags) -> int:
        """Logits of one position of every sequence."""
        return cache.output_bytes(network, flags)

    def compute_buffers(
        self, network: Network, storage: Storage, flags: LlamaCppFlags, layout: Layout
    ) -> ComputeBuffers:
        """What every device needs to compute: the engine's graph replayed, or short rules without one."""
        if not graph_is_known(network):
            return compute.short_rules(network, flags, layout)
        return buffers.replayed(network, storage, flags, layout, pins=self.pins)


MAINLINE = Mainline()
