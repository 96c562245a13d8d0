"""Questions about serving speed as arrays: many deployments, GPUs and loads, answered in one call."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hardware.spec import Accelerator
from planner.errors import MissingFactError
from planner.estimate.serving_speed.fabric import Fabric
from planner.estimate.serving_speed.rank_load import PARTS, RankLoad
from planner.estimate.serving_speed.schedule import PROMPTS_FIRST, USUAL_SCHEDULE, Schedule, step_tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One replica of a model on like GPUs, and the load it carries: a fixed number of requests at a time."""

    load: RankLoad
    accelerator: Accelerator
    engine: str  # "vllm", "sglang", "trtllm"
    n_requests: float  # at once, over the whole replica
    n_prompt_tokens: int
    n_output_tokens: int
    cache_element_bytes: float = 2.0
    weight_unit: str = "fp16"  # the narrowest matrices: what the deployment's precision is called by
    schedule: Schedule = USUAL_SCHEDULE
    pool_bytes: float | None = None  # of cache on one rank; None: whatever the requests need
    n_cached_tokens: int = 0  # of each prompt, which all requests begin with and the cache holds once
    age: str = ""  # of an engine of another age than today's; see `step_rates`
    fabric: Fabric | None = None  # None: all GPUs reach each other over their links

    def __post_init__(self) -> None:
        if not 0 <= self.n_cached_tokens < self.n_prompt_tokens:
            raise ValueError("at least one token of a prompt is read")

    @property
    def step_tokens(self) -> int:
        """Tokens of prompts in one step: as many as the engine was told, or takes by itself."""
        return self.schedule.step_tokens or step_tokens(self.engine, self.accelerator.memory_bytes)

    @property
    def prompts_first(self) -> bool:
        """Whether the engine reads prompts in steps of their own, before all decoding."""
        return self.engine in PROMPTS_FIRST


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Deployments side by side: one array entry each. Seconds, bytes, FLOP and counts per rank."""

    engine: "Floats"  # strings
    age: "Floats"  # of the engine; "" today
    family: "Floats"
    unit: "Floats"
    product: "Floats"  # the matrix unit that multiplies those of the narrowest weights
    kernel: "Floats"  # the family, the unit, and whether blocks of its numbers have scales of their own
    tensor: "Floats"
    attention: "Floats"  # ranks that share one attention
    replicas: "Floats"  # of the attention
    n_requests: "Floats"
    most_running: "Floats"  # requests that one replica of the attention can hold at once
    n_rounds: "Floats"
    has_like_lengths: "Floats"  # 1 or 0
    is_cold: "Floats"  # 1 or 0
    draft_tokens: "Floats"
    held_steps: "Floats"
    collect_steps: "Floats"
    step_tokens: "Floats"
    pads_experts: "Floats"  # 1 or 0
    prompts_first: "Floats"  # 1 or 0
    n_prompt: "Floats"  # tokens of a prompt that are read
    n_cached: "Floats"  # and those that are found in the cache
    n_output: "Floats"
    hidden: "Floats"
    memory_bytes_per_s: "Floats"
    link_bytes_per_s: "Floats"
    machines: "Floats"  # that the tensor ranks of a stage lie on
    network_bytes_per_s: "Floats"  # of one rank to other machines
    stages: "Floats"  # of the pipeline
    stage_share: "Floats"  # of the whole network's bytes that the fullest stage has
    near_hops: "Floats"  # between stages on one machine
    far_hops: "Floats"  # and between those on two
    fp16_flop_per_s: "Floats"
    part_bytes: Mapping[str, "Floats"]
    part_elements: Mapping[str, "Floats"]
    part_flop_per_s: Mapping[str, "Floats"]
    active_fraction: "Floats"
    experts_per_token: "Floats"
    cache_bytes: "Floats"  # that one sequence's next token reads, half-way through its output
    state_bytes: "Floats"  # read and written
    expert_ranks: "Floats"
    mixing_flop: Mapping[str, "Floats"]
    prompt_mixing_flop: Mapping[str, "Floats"]
    prompt_cache_bytes: "Floats"  # of the cached tokens that those of a prompt attend to
    counts: Mapping[str, "Floats"]

    def __len__(self) -> int:
        return len(self.n_requests)

    def __getitem__(self, chosen: "Floats") -> "Batch":
        """Some of the deployments."""
        values: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            is_table = isinstance(value, Mapping)
            values[each.name] = {key: v[chosen] for key, v in value.items()} if is_table else value[chosen]
        return Batch(**values)

    @cached_property
    def members(self) -> Mapping[str, Mapping[str, "Floats"]]:
        """For each axis that rates differ by, 1 where a deployment belongs to a group and 0 elsewhere."""
        import numpy as np

        axes = {
            "family": self.family, "engine": self.engine, "unit": self.unit, "product": self.product,
            "kernel": self.kernel, "age": self.age,
        }  # fmt: skip
        return {
            axis: {str(name): (groups == name).astype(float) for name in np.unique(groups) if name}
            for axis, groups in axes.items()
        }


def narrowest_unit(load: RankLoad) -> str:
    """The narrowest matrix unit of a model's layers, by which its precision is called."""
    used = {load.parts[part].unit for part in PARTS if part != "head" and load.parts[part].n_elements}
    return next((unit for unit in ("fp4", "fp8") if unit in used), "fp16")


_STATE_BYTES = 4
_UNITS = ("fp4", "fp8", "bf16", "fp16")


def batch(deployments: Sequence[Deployment]) -> Batch:
    """The deployments as arrays; raises MissingFactError for a GPU whose matrix rate or link nobody knows."""
    import numpy as np

    rows = [_row(one) for one in deployments]
    names = rows[0].keys() if rows else ()
    arrays: dict[str, Any] = {name: np.array([row[name] for row in rows]) for name in names}
    tables: dict[str, dict[str, Any]] = {}
    for name in [name for name in arrays if ":" in name]:
        field, _, key = name.partition(":")
        tables.setdefault(field, {})[key] = arrays.pop(name)
    return Batch(**arrays, **tables)  # type: ignore[arg-type]


def _row(one: Deployment) -> dict[str, Any]:
    load, device = one.load, one.accelerator
    middle = one.n_prompt_tokens + one.n_output_tokens // 2
    cache_bytes = float(load.cache_elements(middle)) * one.cache_element_bytes
    # TensorRT-LLM lets a request in when there is room for its whole answer (GUARANTEED_NO_EVICT), the others as it grows.
    reserved = one.n_prompt_tokens + one.n_output_tokens if one.engine == "trtllm" else middle
    reserved_bytes = float(load.cache_elements(reserved)) * one.cache_element_bytes
    shared_bytes = float(load.cache_elements(one.n_cached_tokens)) * one.cache_element_bytes
    state_bytes = float(load.state_elements()) * _STATE_BYTES
    product = product_unit(device, one.engine, one.weight_unit)
    row: dict[str, Any] = {
        "engine": one.engine,
        "age": one.age,
        "family": device.architecture,
        "unit": one.weight_unit,
        "product": product,
        "kernel": f"{device.architecture} {product}{' blocks' if load.counts.get('scaled') else ''}",
        "tensor": float(load.ranks.tensor),
        "attention": float(load.ranks.attention),
        "replicas": float(load.ranks.attention_replicas),
        "n_requests": float(one.n_requests),
        "most_running": _most_running(one, reserved_bytes + state_bytes, shared_bytes),
        "n_rounds": float(one.schedule.n_rounds),
        "has_like_lengths": float(one.schedule.has_like_lengths),
        "is_cold": float(one.schedule.is_cold),
        "draft_tokens": float(one.schedule.draft_tokens),
        "held_steps": float(one.schedule.held_steps),
        "collect_steps": float(one.schedule.collect_steps),
        "step_tokens": float(one.step_tokens),
        "pads_experts": float(one.schedule.pads_experts),
        "prompts_first": float(one.prompts_first),
        "n_prompt": float(one.n_prompt_tokens - one.n_cached_tokens),
        "n_cached": float(one.n_cached_tokens),
        "n_output": float(one.n_output_tokens),
        "hidden": float(load.network.hidden_size),
        "memory_bytes_per_s": device.memory_bytes_per_s,
        "link_bytes_per_s": _link(device, load.ranks.n_devices),
        **_spread(one),
        "fp16_flop_per_s": _unit_rate(device, "fp16"),
        "active_fraction": load.active_fraction,
        "experts_per_token": float(load.experts_per_token),
        "cache_bytes": cache_bytes,
        "state_bytes": 2.0 * state_bytes,
        "expert_ranks": float(load.ranks.expert),
        "prompt_cache_bytes": shared_bytes,
    }
    for kind, flop in load.decode_mixing_flop(middle).items():
        row[f"mixing_flop:{kind}"] = float(flop)
    before = load.prefill_mixing_flop(one.n_cached_tokens)
    for kind, flop in load.prefill_mixing_flop(one.n_prompt_tokens).items():
        row[f"prompt_mixing_flop:{kind}"] = float(flop - before[kind])
    for part in PARTS:
        matrices = load.parts[part]
        row[f"part_bytes:{part}"] = matrices.n_bytes
        row[f"part_elements:{part}"] = matrices.n_elements
        row[f"part_flop_per_s:{part}"] = _unit_rate(device, product_unit(device, one.engine, matrices.unit))
    for name, n in load.counts.items():
        row[f"counts:{name}"] = float(n)
    return row


def _most_running(one: Deployment, bytes_of_one: float, shared_bytes: float) -> float:
    """Requests that one replica of the attention runs at once: as many as it is told to, and as the pool holds.

    What they share lies there once; of all, a pipeline stage holds its layers' part.
    """
    told = math.inf if one.schedule.most_running is None else float(one.schedule.most_running)
    if one.pool_bytes is None:
        return told
    share = one.load.layer_share
    own_bytes = (bytes_of_one - shared_bytes) * share
    return max(1.0, min(told, (one.pool_bytes - shared_bytes * share) / own_bytes))


def _spread(one: Deployment) -> dict[str, float]:
    """Where the ranks lie: a stage's in a row, stage behind stage, as vLLM and SGLang number them."""
    ranks, fabric = one.load.ranks, one.fabric
    n_hops = ranks.pipeline - 1
    try:
        machines = 1 if fabric is None else fabric.machines_of(ranks.tensor)
        all_machines = 1 if fabric is None else fabric.machines_of(ranks.n_devices)
    except ValueError as error:
        raise MissingFactError(str(error)) from error
    far_hops = n_hops if machines > 1 else min(n_hops, all_machines - 1)
    return {
        "machines": float(machines),
        "network_bytes_per_s": 1.0 if fabric is None else fabric.bytes_per_s,
        "stages": float(ranks.pipeline),
        "stage_share": one.load.stage_share,
        "near_hops": float(n_hops - far_hops),
        "far_hops": float(far_hops),
    }


def _link(device: Accelerator, n_ranks: int) -> float:
    if n_ranks == 1:
        return 1.0  # nothing crosses it
    link = device.link_bytes_per_s or device.pcie_bytes_per_s
    if link is None:
        raise MissingFactError(
            f"how fast {device.name} talks to its peers is unknown, so {n_ranks} ranks of it cannot be timed"
        )
    return link


def product_unit(device: Accelerator, engine: str, unit: str) -> str:
    """The matrix unit that multiplies weights of a format: its own, or on a GPU without it that of 16 bits (Marlin).

    TensorRT-LLM multiplies 4-bit weights with 8-bit activations where there are units for those.
    """
    if unit == "fp4" and engine == "trtllm" and not device.dense_flop_per_s.get("fp4"):
        unit = "fp8"
    return unit if device.dense_flop_per_s.get(unit) else "fp16"


def _unit_rate(device: Accelerator, unit: str) -> float:
    """FLOP/s of a matrix unit; a GPU without the narrow unit multiplies in the next wider one."""
    wider = _UNITS[_UNITS.index(unit) :]
    found = next((device.dense_flop_per_s[name] for name in wider if device.dense_flop_per_s.get(name)), None)
    if found is None:
        raise MissingFactError(f"the dense 16-bit matrix rate of {device.name} is unknown")
    return found
