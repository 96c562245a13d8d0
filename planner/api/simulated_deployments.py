"""Deployments that a simulation runs: one replica of an engine, a llama-server, or workers apart for prompts and answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from hardware.spec import Machine
from planner.api.replica_layouts import Checkpoint, NoReplica, TriedReplica, tried_replica
from planner.api.serving_facts import serving_facts
from planner.api.serving_fit import model_as_served
from planner.api.serving_machines import ServingMachines
from planner.api.slot_replica import SlotReplica, slot_replica
from planner.engines.llama_cpp import LlamaCppFlags
from planner.errors import MissingFactError
from planner.estimate.serving_speed.step_timer import Bound
from planner.model.opened_model import OpenedModel
from planner.simulate.apart import Side, simulate_apart
from planner.simulate.result import SimulationResult
from planner.sizing.closed_form import means_of
from planner.sizing.option import split_words
from planner.sizing.replica import Replica
from planner.sizing.sampled_load import SampledLoad
from planner.sizing.simulated import SimulationQuestion
from planner.sizing.splits import splits

_SLOT_STEP: Final = 256


@dataclass(frozen=True, kw_only=True)
class Apart:
    """Both kinds of workers, and the seconds in which the cache of so many tokens goes from one to the other."""

    reading: Side
    decoding: Side
    move_s: Callable[[int], float]


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A replica with everything that is said of it."""

    model: str
    storage: str
    version: str
    layout: str
    command: tuple[str, ...]
    replica: Callable[[Bound], Replica]
    n_gpus: int  # 0: none
    apart: Callable[[Bound], Apart] | None = None  # where prompts are read by workers of their own
    is_measured: bool = True
    notes: tuple[str, ...] = ()

    @property
    def is_apart(self) -> bool:
        """Whether prompts are read by workers of their own."""
        return self.apart is not None

    @property
    def n_decoding(self) -> int:
        """Workers that decode."""
        return 1 if self.apart is None else self.apart("expected").decoding.count

    def serve(self, bound: Bound, load: SampledLoad, at: float) -> SimulationResult:
        """One run at a load, with the times of an end of the speed model's interval."""
        if self.apart is None:
            replica = self.replica(bound)
            return load.serve(replica.policy, replica.timer, at)
        sides, drawn = self.apart(bound), load.drawn(at)
        return simulate_apart(
            sides.reading, sides.decoding, drawn.first(), move_s=sides.move_s, next_requests=drawn.following
        ).together()


def of_llama_cpp(
    text: str, machine: Machine, question: SimulationQuestion, length: int, assume: Sequence[str]
) -> Deployed:
    """A llama-server."""
    each = -(-(question.n_context_tokens or length) // _SLOT_STEP) * _SLOT_STEP
    flags = LlamaCppFlags(
        n_context_tokens=each * question.n_slots,
        n_sequences=question.n_slots,
        unified_cache=question.unified_cache,
    )
    if question.limits.max_batched_tokens is not None:
        flags = replace(flags, n_batch=question.limits.max_batched_tokens)
    found: SlotReplica = slot_replica(text, machine, flags, quant=question.quant, assume=assume)

    def replica(bound: Bound) -> Replica:
        return Replica(policy=found.policy, timer=found.timer(bound))

    placement = found.row.placement
    shared = "sharing" if question.unified_cache else "each with"
    return Deployed(
        model=found.opened.name,
        storage=found.row.model.storage.label,
        version="",
        layout=f"{question.n_slots} slots {shared} {flags.n_context_tokens if question.unified_cache else each:,} tokens",
        command=found.row.command,
        replica=replica,
        n_gpus=sum(1 for one in placement.loads if one.device.is_gpu and one.terms),
        notes=found.notes,
    )


def of_engine(
    opened: OpenedModel,
    machines: ServingMachines,
    question: SimulationQuestion,
    load: SampledLoad,
    length: int,
) -> Deployed:
    """One replica of vLLM or SGLang, on the fewest GPUs on which it starts; raises MissingFactError with its reasons."""
    model, notes = model_as_served(opened, question.quantize)
    checkpoint = Checkpoint(opened=opened, model=model, quantization=question.quantize)
    means = means_of(load.requests, prefix_cache=True)
    tried = splits(model.network, machines.gpus_per_machine) if question.ranks is None else (question.ranks,)
    reasons = []
    for ranks in tried:
        try:
            found = tried_replica(
                checkpoint, question.engine, ranks, machines, means, length, question.limits,
                question.cache_type,
            )  # fmt: skip
        except NoReplica as no:
            reasons.append(f"{split_words(ranks)}: {no.reason}")
            continue
        return _served(found, notes)
    raise MissingFactError(
        f"{opened.name} on {machines.name} in {question.engine}: {'; '.join(reasons[-2:]) or 'no split divides it'}"
    )


def _served(found: TriedReplica, notes: tuple[str, ...]) -> Deployed:
    is_measured = found.deployment.accelerator.architecture in serving_facts().rates.families
    if not is_measured:
        notes = (*notes, "nobody measured serving on such GPUs: speeds are what all others have in common")
    layout = found.layout
    return Deployed(
        model=found.layout.checkpoint,
        storage=layout.storage,
        version=layout.engine_version,
        layout=layout.words,
        command=layout.command,
        replica=found.replica,
        n_gpus=layout.n_gpus,
        is_measured=is_measured,
        notes=notes,
    )


def of_apart(
    opened: OpenedModel,
    machines: ServingMachines,
    question: SimulationQuestion,
    load: SampledLoad,
    length: int,
) -> Deployed:
    """Workers that read prompts and workers that decode; raises MissingFactError where one kind does not start."""
    assert question.apart is not None
    n_gpus = sum(workers.count * workers.ranks.n_devices for workers in question.apart)
    if n_gpus > machines.n_gpus:
        raise MissingFactError(
            f"these workers take {n_gpus} GPUs, {machines.name} has {machines.n_gpus}; describe more with --on"
        )
    if any(workers.ranks.attention_replicas > 1 for workers in question.apart):
        raise MissingFactError(
            "workers with several attention replicas are not simulated apart; leave dp out"
        )
    model, notes = model_as_served(opened, question.quantize)
    checkpoint = Checkpoint(opened=opened, model=model, quantization=question.quantize)
    means = means_of(load.requests, prefix_cache=True)
    found = []
    for role, workers in zip(("prefill", "decode"), question.apart, strict=True):
        try:
            found.append(
                tried_replica(
                    checkpoint, question.engine, workers.ranks, machines, means, length, question.limits,
                    question.cache_type,
                )
            )  # fmt: skip
        except NoReplica as no:
            raise MissingFactError(
                f"{opened.name}, a {role} worker of {split_words(workers.ranks)}: {no.reason}"
            ) from no
    reader, decoder = found
    fabric = machines.fabric(n_gpus)
    link = machines.accelerator().link_bytes_per_s if fabric is None else fabric.bytes_per_s
    deployment = reader.deployment

    def move_s(n_tokens: int) -> float:
        moved = float(deployment.load.cache_elements(n_tokens)) * deployment.cache_element_bytes
        return moved / link if link else 0.0

    def apart(bound: Bound) -> Apart:
        sides = []
        for one, workers in zip(found, question.apart or (), strict=True):
            replica = one.replica(bound)
            sides.append(Side(policy=replica.policy, timer=replica.timer, count=workers.count))
        return Apart(reading=sides[0], decoding=sides[1], move_s=move_s)

    base = _served(decoder, notes)
    words = " + ".join(
        f"{workers.count} × {split_words(workers.ranks)} to {does}"
        for workers, does in zip(question.apart, ("read", "decode"), strict=True)
    )

    def replica(bound: Bound) -> Replica:
        # Of the decoding side, whose pool and places are told; a first token has the reading side's time on the host.
        return replace(decoder.replica(bound), first_token_s=reader.replica(bound).first_token_s)

    return replace(
        base, layout=f"{base.storage} {words}", replica=replica, n_gpus=n_gpus, apart=apart,
        notes=(*base.notes, "the command is that of a decoding worker; planner fit --apart prints both"),
    )  # fmt: skip
