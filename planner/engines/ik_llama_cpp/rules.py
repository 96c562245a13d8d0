"""Memory of ik_llama.cpp, by the same questions as llama.cpp's: caches, states, outputs, compute buffers.

Read from ik_llama.cpp at 8337e4cd (2026-08-15, build 4840) and the builds that `eras` names.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from planner.engines.ik_llama_cpp.eras import REPACKED
from planner.engines.ik_llama_cpp.flags import IkFlags, ik_flags
from planner.engines.ik_llama_cpp.graph_context import GraphPlan
from planner.engines.ik_llama_cpp.graphs import planned_compute_bytes
from planner.engines.llama_cpp import runs_as
from planner.engines.llama_cpp.cache import row_bytes
from planner.engines.llama_cpp.flags import LlamaCppFlags
from planner.engines.llama_cpp.layout import ComputeBuffers, Layout
from planner.engines.llama_cpp.split import Split, layer_gpus
from planner.model.attention import Attention
from planner.model.cache import F32_BYTES
from planner.model.latent import LatentAttention
from planner.model.network import LayerGroup, Network
from planner.model.storage import Storage

# Tensors that files may lack: those that the engine makes of others while loading, or shares.
_STANDS_FOR = {
    "attn_kv_b": "attn_k_b",
    "attn_k_b": "attn_kv_b",
    "attn_v_b": "attn_kv_b",
    "output": "token_embd",
}


@dataclass(frozen=True, slots=True)
class IkRules:
    """ik_llama.cpp's rules."""

    def layer_gpus(
        self, n_layers: int, split: Split, free_bytes: Sequence[int], n_extra_layers: int = 0
    ) -> tuple[int | None, ...]:
        """As llama.cpp, but the head comes last: it is on a GPU only when every layer is.

        llama.cpp, llm_load_tensors: i_gpu_start = max(n_layer - n_gpu_layers, 0).
        """
        n_all = n_layers + n_extra_layers
        wanted = split.n_gpu_layers + (n_extra_layers if split.n_gpu_layers else 0)
        if wanted > n_all or not free_bytes:
            return layer_gpus(n_layers, split, free_bytes, n_extra_layers)
        one_later = layer_gpus(n_all, replace(split, n_gpu_layers=wanted), free_bytes)
        return (*one_later[1 : n_layers + 1], None)

    def tables_with_head(self, flags: LlamaCppFlags) -> tuple[str, ...]:
        """None: every table lies in main memory."""
        del flags
        return ()

    def as_run(self, network: Network) -> Network:
        """The network as ik_llama.cpp computes it: windows are masks, never smaller caches."""
        return runs_as.as_run(network)

    def layer_kv_bytes(self, group: LayerGroup, flags: LlamaCppFlags) -> int:
        """Everything in the buffer that it calls KV, for one layer: keys, values and recurrent state.

        llama.cpp, llama_kv_cache_init: every layer has the whole context; the state of a recurrent layer, f32
        for each sequence, lies in the same buffer.
        """
        settings = ik_flags(flags)
        mixer = group.mixer
        if mixer is None:
            return 0
        state = mixer.state_elements * F32_BYTES * min(settings.n_sequences, settings.n_cells)
        if isinstance(mixer, LatentAttention):
            cell = latent_cell_bytes(mixer, settings)
            if mixer.indexer is not None and settings.era.caches_index:
                cell += row_bytes("F16", mixer.indexer.cached_elements)
            return state + settings.n_cells * cell
        if isinstance(mixer, Attention):
            if mixer.shares_kv:
                return state
            keys = mixer.n_kv_heads * row_bytes(settings.k_type, mixer.key_head_dim)
            values = row_bytes(settings.v_type, mixer.n_kv_heads * mixer.value_head_dim)
            return state + settings.n_cells * (keys + values)
        return state + settings.n_cells * sum(
            row_bytes(settings.k_type, cache.k_elements) + row_bytes(settings.v_type, cache.v_elements)
            for cache in mixer.token_caches
        )

    def layer_state_bytes(self, group: LayerGroup, flags: LlamaCppFlags) -> int:
        """Nothing apart: the state is in the KV buffer."""
        del group, flags
        return 0

    def output_bytes(self, network: Network, flags: LlamaCppFlags) -> int:
        """Logits of one position of every sequence, in main memory."""
        return network.vocab_size * F32_BYTES * flags.n_sequences

    def compute_buffers(
        self, network: Network, storage: Storage, flags: LlamaCppFlags, layout: Layout
    ) -> ComputeBuffers:
        """What every device needs to compute: the planned graph of one full physical batch."""
        found = planned_compute_bytes(self.graph_plan(network, storage, flags, layout))
        return ComputeBuffers(gpu_bytes=found[:-1], host_bytes=found[-1])

    def graph_plan(
        self, network: Network, storage: Storage, flags: LlamaCppFlags, layout: Layout
    ) -> GraphPlan:
        """The graph that is planned, and where its tensors lie."""
        settings = ik_flags(flags)
        host = layout.n_gpus
        homes = {(layer, role): host if gpu is None else gpu for layer, role, gpu in layout.homes}
        layers = [host if gpu is None else gpu for gpu in layout.layers]
        head = host if layout.head is None else layout.head

        def home(layer: int | None, role: str) -> int:
            if layer is None:
                return host if role == "token_embd" else head
            return homes.get((layer, role), layers[layer])

        return GraphPlan(
            network=self.as_run(network),
            n_gpus=layout.n_gpus,
            home=home,
            type_name=_types(storage, home, host if settings.run_time_repack else None),
            cache_home=lambda layer: layers[layer] if settings.kv_offload else host,
            n_tokens=min(settings.n_cells, settings.n_ubatch, settings.n_batch),
            n_cells=settings.n_cells,
            k_type=settings.k_type,
            v_type=settings.v_type,
            flash_attention=settings.flash_attention,
            mla=settings.mla_used,
            attention_max_batch_mib=settings.attention_max_batch_used_mib,
            fused_moe=settings.fused_moe_used,
            op_offload=settings.op_offload,
            n_copies=_copies(settings, layout),
            era=settings.era,
        )


def latent_cell_bytes(mixer: LatentAttention, flags: IkFlags) -> int:
    """Cache bytes of one token in a layer of latent attention, by -mla.

    0: every head's keys and values. 1 to 3: latent and rotary key as one row, in the type of K, or of V for 2
    and 3 without flash attention; 1 without flash attention keeps the latent once more, transposed.
    """
    rank, rope = mixer.kv_lora_rank, mixer.qk_rope_head_dim
    if not flags.mla_used:
        keys = mixer.n_heads * row_bytes(flags.k_type, mixer.qk_nope_head_dim + rope)
        return keys + row_bytes(flags.v_type, mixer.n_heads * mixer.v_head_dim)
    if flags.flash_attention:
        return row_bytes(flags.k_type, rank + rope)
    if flags.mla_used > 1:
        return row_bytes(flags.v_type, rank + rope)
    return row_bytes(flags.k_type, rank + rope) + row_bytes(flags.v_type, rank)


def _types(
    storage: Storage, home: Callable[[int | None, str], int], repacked_on: int | None
) -> Callable[[int | None, str], str]:
    """How each weight is stored, after -rtr where its device is the host.

    A predicted mix knows how many tensors have a type better than which; recipes give gate and up the same, and
    the fused operation depends on it.
    """
    stored = {(weight.layer, weight.role): weight.type_name for weight in storage.weights}

    def type_name(layer: int | None, role: str) -> str:
        if storage.predicted and role == "ffn_gate_exps":
            role = "ffn_up_exps"
        found = stored.get((layer, role)) or stored.get((layer, _STANDS_FOR.get(role, role))) or "F32"
        if repacked_on is not None and home(layer, role) == repacked_on and role != "token_embd":
            return REPACKED.get(found, found)
        return found

    return type_name


def _copies(flags: IkFlags, layout: Layout) -> int:
    """Copies of what crosses devices, when batches run through several GPUs like a pipeline.

    llama_init_from_model: several GPUs, everything offloaded, no -ot (since build 3941), no --no-kv-offload.
    """
    everything = layout.head is not None and all(gpu is not None for gpu in layout.layers)
    if layout.n_gpus < 2 or not everything or not flags.kv_offload:
        return 1
    if layout.homes and flags.era.overrides_stop_pipeline:
        return 1
    return flags.pipeline_copies if flags.pipeline_copies is not None else flags.era.default_copies


IK = IkRules()
