"""How fast a served model answers one request while others are in flight."""

from dataclasses import replace

from planner.api.own_loads import own_loads
from planner.api.serving_facts import serving_facts
from planner.api.serving_machines import ServingMachines
from planner.engines.sharding import Parallel
from planner.estimate.served_model import ServedModel
from planner.estimate.serving_answer import ServingLoad, ServingSpeed
from planner.estimate.serving_speed.deployment import Deployment, narrowest_unit
from planner.estimate.serving_speed.own_loads import corrected, n_loads_of
from planner.estimate.serving_speed.rank_load import rank_load
from planner.estimate.serving_speed.served_latency import served_latencies

_REQUESTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_CACHE_BYTES = {"fp8": 1.0, "fp8_e4m3": 1.0, "fp8_e5m2": 1.0, "nvfp4": 0.5625, "fp4_e2m1": 0.5625}


def serving_speeds(
    model: ServedModel,
    machines: ServingMachines,
    engine: str,
    ranks: Parallel,
    cache_type: str,
    load: ServingLoad,
    n_pool_tokens: int,
) -> tuple[ServingSpeed, ...]:
    """Times at 1, 2, 4 … requests at once, as many as the pool holds; raises MissingFactError with what is missing."""
    most = max(1, n_pool_tokens // (load.n_prompt_tokens + load.n_output_tokens))
    numbers = [n for n in _REQUESTS if n <= most]
    one = serving_deployment(model, machines, engine, ranks, cache_type, load)
    deployments = [replace(one, n_requests=n) for n in numbers]
    loads = own_loads()
    answers = [
        corrected(answer, one, loads)
        for answer, one in zip(served_latencies(deployments, serving_facts()), deployments, strict=True)
    ]
    return tuple(
        ServingSpeed(n_requests=n, latency=answer, n_own_loads=n_loads_of(one, loads))
        for n, answer, one in zip(numbers, answers, deployments, strict=True)
    )


def serving_deployment(
    model: ServedModel,
    machines: ServingMachines,
    engine: str,
    ranks: Parallel,
    cache_type: str,
    load: ServingLoad,
) -> Deployment:
    """One replica with one request at a time, to be timed; raises MissingFactError with what is missing."""
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
        fabric=machines.fabric(ranks.n_devices),
    )
