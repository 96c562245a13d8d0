"""How fast a served model answers one request while others are in flight."""

from dataclasses import replace

from planner.api.own_loads import own_loads
from planner.api.serving_facts import serving_facts
from planner.api.serving_machines import ServingMachines
from planner.engines.prefix_reuse import found_tokens
from planner.engines.sharding import Parallel
from planner.estimate.served.answer import PrefixReuse, ServingLoad, ServingSpeed
from planner.estimate.served.model import ServedMemory, ServedModel
from planner.estimate.served.prefix import prefix_terms
from planner.estimate.serving_speed.deployment import Deployment, narrowest_unit
from planner.estimate.serving_speed.own_loads import corrected, n_loads_of
from planner.estimate.serving_speed.rank_load import rank_load
from planner.estimate.serving_speed.schedule import USUAL_SCHEDULE
from planner.estimate.serving_speed.served_latency import served_latencies

REQUESTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_CACHE_BYTES = {"fp8": 1.0, "fp8_e4m3": 1.0, "fp8_e5m2": 1.0, "nvfp4": 0.5625, "fp4_e2m1": 0.5625}


def serving_speeds(
    model: ServedModel,
    machines: ServingMachines,
    engine: str,
    ranks: Parallel,
    cache_type: str,
    load: ServingLoad,
    memory: ServedMemory,
    n_cached_tokens: int = 0,
) -> tuple[ServingSpeed, ...]:
    """Times at 1, 2, 4 … requests at once, as many as the pool holds; raises MissingFactError with what is missing.

    `n_cached_tokens` of every prompt are the same, and lie in the pool once.
    """
    most = most_at_once(load, memory.capacity.n_tokens, n_cached_tokens)
    one = serving_deployment(
        model, machines, engine, ranks, cache_type, load, n_cached_tokens, memory.n_batched_tokens
    )
    deployments = [replace(one, n_requests=n) for n in REQUESTS if n <= most]
    loads = own_loads()
    answers = served_latencies(deployments, serving_facts())
    return tuple(
        ServingSpeed(
            n_requests=round(asked.n_requests),
            latency=corrected(answer, asked, loads),
            n_own_loads=n_loads_of(asked, loads),
        )
        for asked, answer in zip(deployments, answers, strict=True)
    )


def most_at_once(load: ServingLoad, n_pool_tokens: int, n_cached_tokens: int = 0) -> int:
    """Requests that a pool of so many tokens holds, what they share in it once."""
    each = load.n_prompt_tokens + load.n_output_tokens - n_cached_tokens
    return max(1, (n_pool_tokens - n_cached_tokens) // each)


def serving_deployment(
    model: ServedModel,
    machines: ServingMachines,
    engine: str,
    ranks: Parallel,
    cache_type: str,
    load: ServingLoad,
    n_cached_tokens: int = 0,
    n_step_tokens: int | None = None,
) -> Deployment:
    """One replica with one request at a time, to be timed; raises MissingFactError with what is missing.

    `n_step_tokens` of prompts are read in a step; None for as many as the engine reads on data-centre GPUs.
    """
    shared = rank_load(model.network, model.layout.storage, ranks)
    cache = model.checkpoint_cache or "" if cache_type == "auto" else cache_type
    return Deployment(
        load=shared,
        accelerator=machines.accelerator(),
        engine=engine,
        n_requests=1,
        n_prompt_tokens=load.n_prompt_tokens,
        n_output_tokens=load.n_output_tokens,
        cache_element_bytes=_CACHE_BYTES.get(cache, 2.0),
        weight_unit=narrowest_unit(shared),
        schedule=replace(USUAL_SCHEDULE, step_tokens=n_step_tokens),
        n_cached_tokens=n_cached_tokens,
        fabric=machines.fabric(ranks.n_devices),
    )


def prefix_reuse(
    model: ServedModel,
    machines: ServingMachines,
    engine: str,
    ranks: Parallel,
    cache_type: str,
    load: ServingLoad,
    memory: ServedMemory,
    block_tokens: int,
) -> tuple[PrefixReuse, tuple[ServingSpeed, ...]]:
    """What a prefix of the load's prompts saves, kept in such blocks, and the times with it."""
    n_found = found_tokens(load.n_prefix_tokens, load.n_prompt_tokens, block_tokens)
    asked = (model, machines, engine, ranks, cache_type, load)
    speeds, without = (serving_speeds(*asked, memory, n) for n in (n_found, 0))
    reuse = PrefixReuse(
        n_prefix_tokens=load.n_prefix_tokens,
        n_found_tokens=n_found,
        n_read_tokens=load.n_prompt_tokens - n_found,
        n_at_once=most_at_once(load, memory.capacity.n_tokens, n_found),
        n_at_once_without=most_at_once(load, memory.capacity.n_tokens),
        terms=prefix_terms(
            serving_deployment(*asked, n_found),
            speeds[0].latency.prompt_step_s,
            without[0].latency.prompt_step_s,
        ),
        without=without,
    )
    return reuse, speeds
