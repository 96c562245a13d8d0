"""vLLM's memory for a model on GPUs that are alike: terms, cache pool, and the start-up checks."""

from dataclasses import replace

from hardware.spec import Basis
from hardware.units import GIB
from planner.engines.rank_weights import Part, RankWeights, WeightRules, latent_copy_bytes, rank_weights
from planner.engines.sharding import stage_layers
from planner.engines.vllm import budget
from planner.engines.vllm.activation import SAMPLER, Phase, Step, peak, phases
from planner.engines.vllm.budget import Budget
from planner.engines.vllm.cache_pool import CachePool, Capacity, capacity, longest_length, pool
from planner.engines.vllm.cache_specs import CacheTypes, in_flight, layer_specs
from planner.engines.vllm.graphs import capture_sizes, estimated_graph_bytes, graphs_are_reserved
from planner.engines.vllm.settings import (
    CHECKPOINT_CACHE,
    TRITON_SAMPLER,
    VllmSettings,
    batched_tokens,
    sequences,
    utilization,
)
from planner.errors import MissingFactError
from planner.estimate.served.model import (
    ACTIVATION,
    GRAPHS,
    OTHER,
    RankMemory,
    ServedMemory,
    ServedModel,
    ServingGpu,
    weight_terms,
)
from planner.estimate.served.spread import kv_bounds
from planner.estimate.term import Term
from planner.model.network import Network

# The encoder's own run on the largest image, beside its outputs; towers' shapes are not in the network.
TOWER_RUN_BYTES = 1 * GIB


def cache_types(model: ServedModel, settings: VllmSettings) -> CacheTypes:
    """The element types of the caches: as asked, else as the checkpoint says, else as the activations.

    A checkpoint is asked since 0.13 (`resolve_kv_cache_dtype_string` in utils/torch_utils.py; in 0.14.0, not 0.12.0).
    """
    chosen = settings.kv_cache_dtype
    if chosen == "auto" and model.checkpoint_cache and settings.version >= CHECKPOINT_CACHE:
        chosen = model.checkpoint_cache
    return CacheTypes(cache=chosen, model_bytes=model.model_bytes, state_bytes=model.state_bytes)


def loaded_weights(model: ServedModel, settings: VllmSettings, stage: int = 0) -> tuple[RankWeights, int]:
    """One rank's weights as the engine counts them after loading, and the tables and copies made beside them."""
    ranks = settings.parallel
    found = rank_weights(
        model.network,
        model.layout,
        ranks,
        stage=stage,
        rules=WeightRules(replicas_are_engines=True, tower_fraction=1.0 / ranks.attention),
        with_draft=settings.n_speculative_tokens > 0,
        with_towers=not settings.language_model_only,
        expert_padding=model.expert_padding(ranks),
    )
    if model.is_embedding:
        kept: dict[Part, int] = {part: n for part, n in found.parts.items() if part != Part.HEAD}
        found = replace(found, parts=kept)
    made = model.rope_bytes + lora_bytes(model.network, settings)
    if model.is_quantized:
        made += latent_copy_bytes(model.network, ranks, stage=stage, element_bytes=model.model_bytes)
    return found, made


def lora_bytes(network: Network, settings: VllmSettings) -> int:
    """Slots for LoRA adapters: slots · rank · (inputs + outputs / TP) · 2 bytes for each linear module.

    `create_lora_weights` in vllm/lora/layers/base_linear.py (0.25.1): A lies whole on every rank, B is split.
    """
    if not settings.max_loras:
        return 0
    per_rank = 0.0
    for group in network.groups:
        for weight in group.weights(network.hidden_size):
            if len(weight.shape) == 2 and weight.active_experts is None and weight.use == "matmul":
                outputs = weight.shape[1] / settings.parallel.attention
                per_rank += len(group.layers) * (weight.shape[0] + outputs)
    return round(settings.max_loras * settings.max_lora_rank * per_rank * 2)


def vllm_memory(model: ServedModel, settings: VllmSettings, gpu: ServingGpu) -> ServedMemory:
    """The start-up account of every pipeline stage's ranks, and the pool that they share.

    Raises MissingFactError without a length, UnknownArchitectureError for caches that are not known.
    """
    network, ranks = model.network, settings.parallel
    length = _length(model, settings)
    n_tokens = batched_tokens(settings, length, gpu.total_bytes, gpu.name)
    n_requests = sequences(settings, n_tokens, gpu.total_bytes, gpu.name)
    step = Step(
        n_tokens=n_tokens, n_sequences=n_requests, max_model_len=length, element_bytes=model.model_bytes
    )
    all_phases = phases(network, step, ranks, settings.version)
    specs = layer_specs(network, settings, cache_types(model, settings))
    stages = stage_layers(network.n_layers, ranks.pipeline)
    accounts: list[tuple[Budget, CachePool]] = []
    memories: list[RankMemory] = []
    for index, layers in enumerate(stages):
        weights, made = loaded_weights(model, settings, index)
        last = index + 1 == len(stages)
        # Only the last stage samples, only the first runs an encoder.
        phase = peak(tuple(found for found in all_phases if last or found.name != SAMPLER))
        tower_run = tower_run_bytes(model, settings, n_tokens) if index == 0 else 0
        account = Budget(
            total_bytes=gpu.total_bytes,
            free_bytes=gpu.free_bytes,
            requested_bytes=budget.requested_bytes(gpu.total_bytes, utilization(settings)),
            weight_bytes=weights.total_bytes + made,
            activation_bytes=round(phase.n_bytes) + tower_run,
            other_bytes=budget.other_bytes(ranks.n_devices, settings.version),
            graph_bytes=graph_bytes(settings, n_tokens, n_requests),
        )
        n_draft = len(specs) - network.n_layers if last else 0
        made_pool = pool(specs, settings.version, range(layers.start, layers.stop + n_draft))
        accounts.append((account, made_pool))
        terms = _terms(model, weights, made, account, phase)
        measured = settings.version < TRITON_SAMPLER
        memories.append(
            RankMemory(
                stage=index,
                terms=terms,
                limit_bytes=account.requested_bytes,
                kv_bytes=account.kv_bytes,
                kv_bounds=kv_bounds(account.kv_bytes, terms, sampler_is_measured=measured),
            )
        )
    # Every rank makes as many blocks as the one with the fewest.
    account, made_pool = min(accounts, key=lambda pair: pair[1].n_blocks(max(0, pair[0].kv_bytes)))
    held, step_held = max(0, account.kv_bytes), in_flight(network, settings, n_tokens)
    longest = longest_length(made_pool, held, step=step_held, at_most=length)
    needed = made_pool.request_blocks(length, step_held) * made_pool.block_bytes
    return ServedMemory(
        engine="vLLM",
        ranks=tuple(memories),
        capacity=pool_capacity(model, settings, held, n_batched_tokens=n_tokens, max_model_len=length),
        max_model_len=length,
        n_batched_tokens=n_tokens,
        n_sequences=n_requests,
        used_fraction=utilization(settings),
        refusal=budget.refusal(account, needed, length, longest),
        longest_length=longest,
        needed_kv_bytes=needed,
    )


def _length(model: ServedModel, settings: VllmSettings) -> int:
    length = settings.max_model_len or model.network.context_tokens
    if length is None:
        raise MissingFactError(f"{model.name} does not say its longest context; give --context")
    return length


def pool_capacity(
    model: ServedModel, settings: VllmSettings, kv_bytes: int, *, n_batched_tokens: int, max_model_len: int
) -> Capacity:
    """Blocks, tokens and concurrency of a pool of this many bytes per rank."""
    specs = layer_specs(model.network, settings, cache_types(model, settings))
    stages = stage_layers(model.network.n_layers, settings.parallel.pipeline)
    n_draft = len(specs) - model.network.n_layers
    pools = [
        pool(
            specs,
            settings.version,
            range(layers.start, layers.stop + (n_draft if layers is stages[-1] else 0)),
        )
        for layers in stages
    ]
    return capacity(
        max(pools, key=lambda found: found.block_bytes),
        kv_bytes,
        version=settings.version,
        max_model_len=max_model_len,
        step=in_flight(model.network, settings, n_batched_tokens),
    )


def graph_bytes(settings: VllmSettings, n_tokens: int, n_sequences: int) -> int:
    """Memory that start-up takes off the cache for CUDA graphs."""
    if settings.enforce_eager or not graphs_are_reserved(settings.version):
        return 0
    return estimated_graph_bytes(len(capture_sizes(n_sequences, n_tokens, settings.n_speculative_tokens)))


def tower_run_bytes(model: ServedModel, settings: VllmSettings, n_tokens: int) -> int:
    """The encoder's run and its cached outputs, which stay while the language model is profiled."""
    if settings.language_model_only or not model.network.towers:
        return 0
    return TOWER_RUN_BYTES + n_tokens * model.network.hidden_size * model.model_bytes


def _terms(
    model: ServedModel, weights: RankWeights, made: int, account: Budget, phase: Phase
) -> tuple[Term, ...]:
    terms = weight_terms(weights, made, Basis.DERIVED, model.layout.storage.label)
    tower = account.activation_bytes - round(phase.n_bytes)
    more = (
        (f"{ACTIVATION}: {phase.name}", phase.n_bytes, Basis.DERIVED, phase.source),
        (f"{ACTIVATION}: vision or audio encoder", tower, Basis.ASSUMED, "1 GiB and the encoder's outputs"),
        (OTHER, account.other_bytes, Basis.ASSUMED, "0.09 to 0.55 GiB in recorded start-ups"),
        (GRAPHS, account.graph_bytes, Basis.ASSUMED, "estimates of 0.08 to 2.4 GiB in recorded start-ups"),
    )
    terms += [
        Term(name=name, value=value, unit="bytes", basis=basis, source=source)
        for name, value, basis, source in more
        if value
    ]
    return tuple(terms)
