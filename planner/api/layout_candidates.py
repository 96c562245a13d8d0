"""Every layout that may be tried on a machine, with a bound of its load; those that cannot be are rejected."""

from collections.abc import Iterator
from dataclasses import replace

from planner.api.machine_offers import OfferedMachine
from planner.api.replica_layouts import NoReplica
from planner.api.replica_search import ReplicaKey, ReplicaSearch
from planner.api.serving_machines import ServingMachines, serving_machines
from planner.engines.sharding import Parallel
from planner.estimate.peer_links import peer_link_bytes_per_s
from planner.model.network import Network
from planner.sizing.option import Rejection, split_words
from planner.sizing.question import Limits
from planner.sizing.search import Candidate
from planner.sizing.splits import spanning_splits, splits


def layout_candidates(
    offered: OfferedMachine, replicas: ReplicaSearch, rejections: list[Rejection]
) -> Iterator[Candidate]:
    """Each way of storing, engine, split and limit that the engine starts with and that objectives may allow.

    What is not among them is added to `rejections` with its reason.
    """
    n_nodes = offered.offer.n_nodes
    machines = replace(serving_machines(offered.machine), count=n_nodes)
    kinds = {one.name for one in offered.machine.gpus}
    if len(kinds) > 1:
        reason = f"GPUs of several kinds: {', '.join(sorted(kinds))}"
        rejections.append(_rejection(offered, "", "", NoReplica("layout", reason)))
        return
    for index, checkpoint in enumerate(replicas.models):
        for ranks in _splits(checkpoint.model.network, machines):
            for engine in replicas.question.engines:
                for limits in replicas.question.limits:
                    key = _replica_key(machines, index, engine, ranks, limits)
                    try:
                        bound = replicas.bound(key, machines)
                    except NoReplica as no:
                        words = f"{checkpoint.storage} {split_words(ranks)}"
                        rejections.append(_rejection(offered, engine, words, no))
                        continue
                    n = machines.n_gpus // ranks.n_devices
                    yield Candidate(offer=offered.offer, key=key, replicas_per_machine=n, bound=bound)


def replica_key_of(candidate: Candidate) -> ReplicaKey:
    """What the capacity of a candidate's replica depends on."""
    if not isinstance(candidate.key, ReplicaKey):
        raise TypeError(f"{candidate.key!r} is no key of a replica")
    return candidate.key


def _splits(network: Network, machines: ServingMachines) -> tuple[Parallel, ...]:
    if machines.count > 1:
        return spanning_splits(network, machines.gpus_per_machine, machines.count)
    return splits(network, machines.gpus_per_machine)


def _rejection(offered: OfferedMachine, engine: str, layout: str, no: NoReplica) -> Rejection:
    return Rejection(
        machine=offered.offer.description, engine=engine, layout=layout, stage=no.stage, reason=no.reason
    )


def _replica_key(
    machines: ServingMachines, checkpoint: int, engine: str, ranks: Parallel, limits: Limits
) -> ReplicaKey:
    link = peer_link_bytes_per_s(machines.machine) if ranks.n_devices > 1 else None
    spans = ranks.n_devices > machines.gpus_per_machine
    return ReplicaKey(
        accelerator=machines.gpu.name, gpu=machines.gpu, checkpoint=checkpoint, engine=engine, ranks=ranks, limits=limits,
        link_bytes_per_s=link, joined=machines.machine.name if spans else None,
    )  # fmt: skip
