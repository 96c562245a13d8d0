"""What every part of a graph needs: the model's tensors and where they lie, the batch, and shared inputs."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from planner.engines.ggml.tensor import Graph, Tensor, cache, cast, graph_input, like, mul_mat, view, weight
from planner.engines.llama_cpp.builds import KEEPS_FUSED, PADS_TO_256, WRITES_F16_MASKS, since
from planner.engines.llama_cpp.cache import cache_cells
from planner.engines.llama_cpp.flags import LlamaCppFlags
from planner.engines.llama_cpp.graph.plan import GraphPlan
from planner.model.ggml_types import type_by_name
from planner.model.network import Network
from planner.model.storage import Storage, StoredWeight

_OLD_MASK_PADDING = 64  # GGML_KQ_MASK_PAD
_HADAMARD_ROWS = 64  # a rotation needs heads of a multiple of this (llama-kv-cache.cpp, attn_rot_k)


def is_recent(flags: LlamaCppFlags) -> bool:
    """Whether the build has backends add to the graph's memory for the steps they fuse or convert."""
    return since(flags, KEEPS_FUSED)


@dataclass(slots=True)
class GraphContext:
    """One graph under construction: a batch of as many tokens as may be, spread over all sequences."""

    network: Network
    storage: Storage
    plan: GraphPlan
    graph: Graph = field(default_factory=Graph)
    n_tokens: int = field(init=False)
    n_outputs: int = field(init=False)
    flags: LlamaCppFlags = field(init=False)
    _stored: dict[tuple[int | None, str], StoredWeight] = field(init=False)
    _homes: dict[tuple[int, str], int] = field(init=False)
    _devices: list[int] = field(init=False)
    _made: dict[tuple[int | None, str], Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        plan = self.plan
        self.n_tokens, self.n_outputs, self.flags = plan.n_tokens, plan.n_outputs, plan.flags
        self._devices = [self.device(layer.gpu) for layer in plan.layers]
        self._homes = {
            (place, role): self.device(gpu)
            for place, layer in enumerate(plan.layers)
            for role, gpu in layer.homes
        }
        by_layer = self.storage.weights_by_layer
        self._stored = {(None, w.role): w for w in by_layer.get(None, ())}
        for place, layer in enumerate(plan.layers):
            self._stored |= {(place, w.role): w for w in by_layer.get(layer.stored, ())}

    @property
    def host(self) -> int:
        """The index of main memory among the devices."""
        return self.plan.n_gpus

    def device(self, gpu: int | None) -> int:
        """The index of a GPU or of main memory among the devices."""
        return self.host if gpu is None else gpu

    def layer_device(self, layer: int) -> int:
        """Where a layer computes."""
        return self._devices[layer]

    @property
    def n_sequences(self) -> int:
        """Sequences in the batch that memory is planned for: as many as there may be."""
        return self.flags.n_sequences

    @property
    def n_streams(self) -> int:
        """Parts of the cache that are attended to apart."""
        return 1 if self.flags.unified_cache else self.flags.n_sequences

    def fuses(self, layer: int) -> bool:
        """Whether a GPU computes a layer's experts, and is of a build that keeps what fused steps read."""
        on_gpu = self._devices[layer] != self.host or (self.plan.n_gpus > 0 and self.flags.op_offload)
        return is_recent(self.flags) and on_gpu

    def has(self, layer: int | None, role: str) -> bool:
        """Whether the model stores a tensor."""
        return (layer, role) in self._stored

    def shape(self, layer: int | None, role: str) -> tuple[int, ...]:
        """The shape of a stored tensor."""
        return self._stored[layer, role].shape

    def first(self, layer: int | None, *roles: str) -> str | None:
        """The first of some roles that is stored."""
        return next((role for role in roles if self.has(layer, role)), None)

    def weight(self, layer: int | None, role: str) -> Tensor:
        """A stored tensor, on the device that holds it."""
        key = (layer, role)
        if key not in self._made:
            stored = self._stored[key]
            if layer is None:
                home = (
                    self.host if role.startswith(("token_embd", "per_layer")) else self.device(self.plan.head)
                )
            else:
                home = self._homes.get((layer, role), self.layer_device(layer))
            self._made[key] = weight(role, stored.type_name, stored.shape, home)
        return self._made[key]

    def multiply(self, layer: int | None, role: str, x: Tensor) -> Tensor:
        """X times a stored matrix, and its bias where there is one (build_lora_mm and what follows it)."""
        out = mul_mat(self.weight(layer, role), x)
        return self.add_bias(layer, role, out)

    def add_bias(self, layer: int | None, role: str, x: Tensor) -> Tensor:
        """X plus the bias of a role, where it is stored."""
        bias = f"{role}.bias"
        return like("ADD", x, self.weight(layer, bias)) if self.has(layer, bias) else x

    def norm(self, x: Tensor, layer: int | None, role: str | None) -> Tensor:
        """A norm with the weight and bias that are stored (build_norm)."""
        has_bias = role is not None and self.has(layer, f"{role}.bias")
        out = like("NORM" if has_bias else "RMS_NORM", x)
        if role is None or not self.has(layer, role):
            return out
        if layer is not None and self.plan.pins and self.plan.whole:
            out.backend = self.layer_device(layer)  # graph_get_cb: a norm stays with its layer
        out = like("MUL", out, self.weight(layer, role))
        return self.add_bias(layer, role, out)

    def input(self, name: str, type_name: str, ne: Sequence[int]) -> Tensor:
        """An input of the graph, made once."""
        key = (None, f"input {name}")
        if key not in self._made:
            self._made[key] = graph_input(name, type_name, ne)
        return self._made[key]

    @property
    def positions(self) -> Tensor:
        """The tokens' positions."""
        return self.input("positions", "I32", (self.n_tokens,))

    @property
    def output_ids(self) -> Tensor:
        """Which tokens give an output; all of them, at most."""
        return self.input("output ids", "I32", (self.n_outputs,))

    @property
    def state_ids(self) -> tuple[Tensor, Tensor]:
        """Which states the batch's sequences read, and which others move (build_rs_inp)."""
        ids = self.input("state ids", "I32", (self.n_sequences,))
        for name, n in (("used states", self.n_sequences), ("other states", 0)):
            if (None, name) not in self._made:
                self._made[None, name] = view(ids, (n,), contiguous=True)
        return self._made[None, "used states"], self._made[None, "other states"]

    def rope(self, x: Tensor) -> Tensor:
        """Rotary positions; factors are a small tensor that does not decide where this runs."""
        return like("ROPE", x, self.positions)

    def cells(self, window_tokens: int | None) -> int:
        """Cells of one stream of a layer's cache."""
        return cache_cells(self.flags, window_tokens) // self.n_streams

    def mask(self, window_tokens: int | None) -> Tensor:
        """Which cells each token sees (build_attn_inp_kq_mask): f16 for flash attention."""
        name = "mask" if window_tokens is None else "window mask"
        n = self.n_tokens // self.n_streams
        if not since(self.flags, PADS_TO_256):
            n = -(-n // _OLD_MASK_PADDING) * _OLD_MASK_PADDING
        shape = (self.cells(window_tokens), n, 1, self.n_streams)
        flash = self.flags.flash_attention
        if not flash or since(self.flags, WRITES_F16_MASKS):
            return self.input(name, "F16" if flash else "F32", shape)
        key = (None, f"f16 {name}")
        if key not in self._made:
            self._made[key] = cast(self.input(name, "F32", shape), "F16")
        return self._made[key]

    def cache(self, layer: int, name: str, type_name: str, ne: Sequence[int]) -> Tensor:
        """A layer's cache, beside the layer or in main memory."""
        key = (layer, name)
        if key not in self._made:
            home = self.layer_device(layer) if self.flags.kv_offload else self.host
            self._made[key] = cache(name, type_name, ne, home)
        return self._made[key]

    def rotation(self, which: str, head_dim: int, *, windowed: bool) -> Tensor | None:
        """The rotation in front of a quantized cache: for K the largest power of two that divides a head."""
        type_name = self.flags.k_type if which == "k" else self.flags.v_type
        if type_by_name(type_name).block_elements == 1 or head_dim % _HADAMARD_ROWS:
            return None
        size = _HADAMARD_ROWS
        while which == "k" and head_dim % (2 * size) == 0:
            size *= 2
        return self.input(f"{which} rotation {windowed}", "F32", (size, size))
