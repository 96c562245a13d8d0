"""What every part of a graph needs to know: where tensors lie, how many tokens and cells, which build."""

from collections.abc import Callable
from dataclasses import dataclass

from planner.engines.ggml.tensor import Graph, Tensor, cache, cast, graph_input, like, weight
from planner.engines.ik_llama_cpp.eras import CURRENT, Era
from planner.model.network import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphPlan:
    """One context as the scheduler sees it: a network, its tensors' places and types, the flags that shape it.

    Devices are numbered, GPUs first; `n_gpus` is the host. `home(layer, role)` and `type_name(layer, role)` say
    where a weight lies and how it is stored; the layer is None outside the layers.
    """

    network: Network
    n_gpus: int
    home: Callable[[int | None, str], int]
    type_name: Callable[[int | None, str], str]
    cache_home: Callable[[int], int]  # by layer
    n_tokens: int  # of one physical batch
    n_cells: int
    k_type: str = "F16"
    v_type: str = "F16"
    flash_attention: bool = True
    mla: int = 0
    attention_max_batch_mib: int = 0
    fused_moe: bool = True
    op_offload: bool = True
    n_copies: int = 1
    era: Era = CURRENT


class GraphContext:
    """A graph while it is built."""

    def __init__(self, plan: GraphPlan) -> None:
        self.plan = plan
        self.era = plan.era
        self.graph = Graph()
        self.n_tokens = plan.n_tokens
        self.positions = graph_input("inp_pos", "I32", (plan.n_tokens,))
        self.host = plan.n_gpus
        self._masks: dict[bool, Tensor] = {}

    def weight(self, layer: int | None, role: str, *ne: int) -> Tensor:
        """A weight by its role, such as "ffn_up"."""
        return weight(role, self.plan.type_name(layer, role), ne, self.plan.home(layer, role))

    def vector(self, layer: int | None, role: str, n: int) -> Tensor:
        """A norm or bias, always stored in f32."""
        return weight(role, "F32", (n,), self.plan.home(layer, role))

    def norm(self, x: Tensor, layer: int | None, role: str) -> Tensor:
        """A root-mean-square norm with its weight, one operation since d5aa49b93 (#42)."""
        return like("FUSED_RMS_NORM", x, self.vector(layer, role, x.ne[0]))

    def rope(self, x: Tensor) -> Tensor:
        """Rotary positions."""
        return like("ROPE", x, self.positions)

    def cache(self, layer: int, role: str, type_name: str, *ne: int) -> Tensor:
        """A layer's keys, values or state."""
        return cache(role, type_name, ne, self.plan.cache_home(layer))

    def mask(self, *, windowed: bool) -> Tensor:
        """The causal mask, made once for full layers and once for windowed ones."""
        found = self._masks.get(windowed)
        if found is None:
            rows = -(-self.n_tokens // self.era.mask_row_padding) * self.era.mask_row_padding
            flash = self.plan.flash_attention
            name = "F16" if flash and self.era.makes_half_masks else "F32"
            found = graph_input("KQ_mask", name, (self.plan.n_cells, rows))
            if flash and name == "F32":
                found = cast(found, "F16")
            self._masks[windowed] = found
        return found
