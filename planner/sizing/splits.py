"""Ways to spread one replica over the GPUs of a machine."""

from typing import Final

from planner.engines.sharding import Parallel, split_problem
from planner.model.network import Network

_SIZES: Final = (1, 2, 4, 8)


def splits(network: Network, n_gpus: int) -> tuple[Parallel, ...]:
    """Tensor parallel sizes and pipeline stages that divide the network and fit on a machine, fewest GPUs first.

    Pipeline stages only where tensor parallelism alone does not reach that number of GPUs. Mixtures of experts also
    with whole experts on each rank, and with that and an attention on each rank (whose caches are then not split).
    """
    found: list[Parallel] = []
    sizes = [n for n in _SIZES if n <= n_gpus]
    reached = [n for n in sizes if split_problem(network, Parallel(tensor=n)) is None]
    for n in reached:
        found.append(Parallel(tensor=n))
        if n > 1 and network.is_mixture_of_experts():
            found.append(Parallel(tensor=n, expert=n))
            found.append(Parallel(tensor=n, expert=n, attention_replicas=n))
    for n in sizes:
        if n in reached:
            continue
        tensor = max((size for size in reached if n % size == 0), default=None)
        if (
            tensor is not None
            and split_problem(network, Parallel(tensor=tensor, pipeline=n // tensor)) is None
        ):
            found.append(Parallel(tensor=tensor, pipeline=n // tensor))
    return tuple(
        ranks
        for ranks in sorted(found, key=lambda ranks: ranks.n_devices)
        if split_problem(network, ranks) is None
    )


def spanning_splits(network: Network, gpus_per_machine: int, n_machines: int) -> tuple[Parallel, ...]:
    """Ways to spread one replica over all GPUs of machines that a network joins.

    A pipeline stage on each machine; and for mixtures of experts whole experts on each rank, with an attention within each
    machine or on each rank.
    """
    n = gpus_per_machine * n_machines
    tried = [Parallel(tensor=gpus_per_machine, pipeline=n_machines)]
    if network.is_mixture_of_experts():
        tried += [Parallel(tensor=n, expert=n, attention_replicas=replicas) for replicas in (n_machines, n)]
    return tuple(ranks for ranks in tried if split_problem(network, ranks) is None)
