"""SGLang's memory for a model on GPUs that are alike: terms, token pool, and whether a pool is left."""

from hardware.spec import Basis
from hardware.units import MIB
from planner.engines.rank_weights import RankWeights, WeightRules, latent_copy_bytes, rank_weights
from planner.engines.sglang.pool import DRAFT_CHARGED, Cell, TokenPool, cell, rest_bytes, token_pool
from planner.engines.sglang.settings import SglangSettings, chunk_tokens, static_fraction
from planner.engines.vllm.cache_pool import Capacity
from planner.errors import MissingFactError
from planner.estimate.served.model import (
    OTHER,
    RankMemory,
    ServedMemory,
    ServedModel,
    ServingGpu,
    weight_terms,
)
from planner.estimate.served.spread import kv_bounds
from planner.estimate.term import Term

# What is gone before the engine looks at free memory: context, NCCL, libraries.
CONTEXT_BYTES = 600 * MIB


def sglang_weights(model: ServedModel, settings: SglangSettings, stage: int = 0) -> tuple[RankWeights, int]:
    """One rank's weights after loading, and the tables and copies made beside them."""
    replicated = settings.parallel.attention_replicas > 1
    found = rank_weights(
        model.network,
        model.layout,
        settings.parallel,
        stage=stage,
        rules=WeightRules(
            embedding_per_replica=replicated,
            head_per_replica=settings.head_per_replica,
            dense_blocks_whole=settings.all_to_all and replicated,
            shared_experts_whole=settings.all_to_all,
            tower_fraction=1.0 / settings.parallel.tensor,
        ),
        # Before, a draft was loaded into what the static fraction leaves free.
        with_draft=settings.n_draft_tokens > 0 and settings.version >= DRAFT_CHARGED,
        expert_padding=model.expert_padding(settings.parallel),
    )
    made = model.rope_bytes + latent_copy_bytes(model.network, settings.parallel, stage=stage)
    return found, made


def model_cell(model: ServedModel, settings: SglangSettings, stage: int = 0) -> Cell:
    """What a token and a request take in the pools of one rank."""
    return cell(
        model.network, settings, element_bytes=model.model_bytes, state_bytes=model.state_bytes, stage=stage
    )


def pool_after_load(
    model: ServedModel,
    settings: SglangSettings,
    free_after_load: float,
    free_before_load: float,
    fraction: float,
) -> TokenPool:
    """The pool that the engine makes when this much is free after loading, of this much before."""
    return token_pool(
        settings,
        model.network,
        model_cell(model, settings),
        rest_bytes(free_after_load, free_before_load, fraction),
    )


def sglang_memory(model: ServedModel, settings: SglangSettings, gpu: ServingGpu) -> ServedMemory:
    """The account of every pipeline stage's ranks, and the tokens that all of them can keep.

    Raises MissingFactError without a length, UnknownArchitectureError for caches that are not known.
    """
    length = settings.context_length or model.network.context_tokens
    if length is None:
        raise MissingFactError(f"{model.name} does not say its longest context; give --context")
    fraction = static_fraction(settings, gpu.total_bytes, model.network.parameters.towers)
    free = min(gpu.free_bytes, gpu.total_bytes) - CONTEXT_BYTES
    memories: list[RankMemory] = []
    pools: list[TokenPool] = []
    for stage in range(settings.parallel.pipeline):
        weights, made = sglang_weights(model, settings, stage)
        left = rest_bytes(free - weights.total_bytes - made, free, fraction)
        pools.append(token_pool(settings, model.network, model_cell(model, settings, stage), left))
        terms = weight_terms(weights, made, Basis.DERIVED, model.layout.storage.label)
        terms.append(
            Term(
                name=OTHER,
                value=CONTEXT_BYTES,
                unit="bytes",
                basis=Basis.ASSUMED,
                source="context and NCCL before loading",
            )
        )
        memories.append(
            RankMemory(
                stage=stage,
                terms=tuple(terms),
                limit_bytes=round(free * fraction),
                kv_bytes=round(left),
                kv_bounds=kv_bounds(round(left), terms),
            )
        )
    made_pool = min(pools, key=lambda found: found.n_tokens)
    refusal = None
    if min(memory.kv_bytes for memory in memories) <= 0 or made_pool.n_tokens <= 0:
        refusal = "no memory is left for the KV cache at this mem-fraction-static"
    return ServedMemory(
        engine="SGLang",
        ranks=tuple(memories),
        capacity=Capacity(
            n_blocks=made_pool.n_tokens,
            n_tokens=made_pool.n_tokens,
            concurrency=made_pool.n_tokens / length,
        ),
        max_model_len=length,
        n_batched_tokens=chunk_tokens(settings, gpu.total_bytes),
        n_sequences=settings.max_running_requests,
        used_fraction=fraction,
        refusal=refusal,
        longest_length=min(length, made_pool.n_tokens),
        needed_kv_bytes=1,  # any pool will do
    )
