"""One replica tried on a kind of GPU: whether the engine starts so, and how the simulation is to run it."""

from dataclasses import dataclass
from typing import Final

from hardware.units import format_bytes
from planner.api.serving_facts import serving_facts
from planner.api.serving_fit import loaded_from, model_as_served
from planner.api.serving_machines import ServingMachines
from planner.api.serving_speeds import serving_deployment
from planner.engines.sglang.command import launch_command
from planner.engines.sglang.settings import SglangSettings
from planner.engines.sharding import Parallel
from planner.engines.vllm.command import serve_command
from planner.engines.vllm.settings import VllmSettings
from planner.errors import MissingFactError, UnknownArchitectureError
from planner.estimate.served.answer import ServingLoad
from planner.estimate.served.model import ServedMemory, ServedModel, ServingGpu
from planner.estimate.served.sglang_memory import sglang_memory
from planner.estimate.served.vllm_memory import vllm_memory
from planner.estimate.serving_speed.deployment import Deployment
from planner.estimate.serving_speed.step_timer import Bound, serving_step_timer
from planner.model.opened_model import OpenedModel
from planner.simulate.policy import Policy
from planner.sizing.closed_form import Means
from planner.sizing.option import Layout, Stage
from planner.sizing.question import Limits, SizingQuestion
from planner.sizing.replica import Replica

_USUAL_SEQUENCES: Final = 1024  # where the engine sets no limit but its pool


class NoReplica(Exception):  # noqa: N818 (a result, not an error)
    """A layout that is not an answer: what found out, and why."""

    def __init__(self, stage: Stage, reason: str) -> None:
        super().__init__(reason)
        self.stage = stage
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A model as an engine would load it."""

    opened: OpenedModel
    model: ServedModel
    quantization: str | None

    @property
    def storage(self) -> str:
        """How its weights are stored, in a word."""
        return self.model.layout.storage.label.partition(" ")[0]


@dataclass(frozen=True, kw_only=True)
class TriedReplica:
    """A layout that starts, and the deployment that times it."""

    layout: Layout
    deployment: Deployment
    policy: Policy

    def replica(self, bound: Bound) -> Replica:
        """As the simulation runs it, at an end of the speed model's interval."""
        timer = serving_step_timer(
            self.deployment,
            serving_facts(),
            max_sequences=self.policy.max_sequences,
            max_batched_tokens=self.policy.max_batched_tokens,
            bound=bound,
        )
        return Replica(
            policy=self.policy,
            timer=timer,
            first_token_s=timer.first_token_s,
            n_attention_replicas=self.layout.parallel.attention_replicas,
        )


def checkpoints(opened: OpenedModel, question: SizingQuestion) -> tuple[Checkpoint, ...]:
    """The model as published, and quantized while loading where it is published in 16 bits."""
    found = []
    if "published" in question.quantizations:
        found.append(Checkpoint(opened=opened, model=model_as_served(opened, None)[0], quantization=None))
    if "fp8" in question.quantizations and not model_as_served(opened, None)[0].is_quantized:
        found.append(Checkpoint(opened=opened, model=model_as_served(opened, "fp8")[0], quantization="fp8"))
    if not found:
        raise MissingFactError(
            f"{opened.name} is published in {model_as_served(opened, None)[0].layout.storage.label}, which is not quantized "
            "again while loading; leave --quantization out"
        )
    return tuple(found)


def tried_replica(
    checkpoint: Checkpoint,
    engine: str,
    ranks: Parallel,
    machines: ServingMachines,
    means: Means,
    length: int,
    limits: Limits,
    cache_type: str,
) -> TriedReplica:
    """The layout, if the engine surely starts with it; raises NoReplica with the engine's reason if not."""
    gpu = machines.gpu
    try:
        accelerator = machines.accelerator()
    except MissingFactError as error:
        raise NoReplica("speed", str(error)) from error
    if checkpoint.quantization == "fp8" and not accelerator.dense_flop_per_s.get("fp8"):
        raise NoReplica("layout", f"{accelerator.name} has no FP8 matrix units")
    try:
        memory, version, command = _started(checkpoint, engine, ranks, gpu, length, limits, cache_type)
    except (MissingFactError, UnknownArchitectureError) as error:
        raise NoReplica("memory", str(error)) from error
    if not memory.starts:
        raise NoReplica("memory", f"does not start: {memory.refusal}")
    if not memory.starts_at_low:
        low = min(rank.kv_bounds.low for rank in memory.ranks)
        raise NoReplica(
            "memory",
            f"may not start: a request of {length:,} tokens needs {format_bytes(memory.needed_kv_bytes)} of cache, and the "
            f"low end of the 80 % interval leaves {format_bytes(max(0, low))}",
        )
    try:
        deployment = serving_deployment(
            checkpoint.model, machines, engine, ranks, cache_type,
            ServingLoad(
                n_prompt_tokens=max(1, round(means.n_cached_tokens - means.n_output_tokens / 2)),
                n_output_tokens=max(1, round(means.n_output_tokens)),
            ),
            n_step_tokens=memory.n_batched_tokens,
        )  # fmt: skip
        policy = Policy(
            max_sequences=memory.n_sequences or _USUAL_SEQUENCES,
            max_batched_tokens=memory.n_batched_tokens,
            kv_tokens=memory.capacity.n_tokens,
            mixing="prompts_first" if engine == "sglang" else "mixed",
            prefix_cache=True,
        )
    except MissingFactError as error:
        raise NoReplica("speed", str(error)) from error
    return TriedReplica(
        layout=Layout(
            engine=engine,
            engine_version=version,
            checkpoint=loaded_from(checkpoint.opened),
            storage=checkpoint.storage,
            parallel=ranks,
            max_model_len=length,
            max_sequences=policy.max_sequences,
            max_batched_tokens=policy.max_batched_tokens,
            kv_tokens=policy.kv_tokens,
            command=command,
            quantization=checkpoint.quantization,
        ),
        deployment=deployment,
        policy=policy,
    )


def _started(
    checkpoint: Checkpoint,
    engine: str,
    ranks: Parallel,
    gpu: ServingGpu,
    length: int,
    limits: Limits,
    cache_type: str,
) -> tuple[ServedMemory, str, tuple[str, ...]]:
    name = loaded_from(checkpoint.opened)
    if engine == "vllm":
        asked = VllmSettings(
            parallel=ranks,
            max_model_len=length,
            quantization=checkpoint.quantization,
            kv_cache_dtype=cache_type,
            max_num_seqs=limits.max_sequences,
            max_num_batched_tokens=limits.max_batched_tokens,
        )
        return vllm_memory(checkpoint.model, asked, gpu), str(asked.version), serve_command(name, asked)
    if checkpoint.quantization is not None:
        raise MissingFactError("quantizing while loading is modelled for vLLM alone")
    settings = SglangSettings(
        parallel=ranks,
        context_length=length,
        kv_cache_dtype=cache_type,
        max_running_requests=limits.max_sequences,
        chunked_prefill_size=limits.max_batched_tokens,
    )
    return (
        sglang_memory(checkpoint.model, settings, gpu),
        str(settings.version),
        launch_command(name, settings),
    )
