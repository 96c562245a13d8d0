"""Copies of a served model as containers: the engine's command on each node, and what tells the nodes apart."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

Engine = Literal["vllm", "sglang"]

PORT: Final = 8000
_RENDEZVOUS_PORT: Final = 29500
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_NOT_IN_LABELS: Final = re.compile(r"[^a-z0-9]+")
_MAX_LABEL: Final = 40
_GPU_RESOURCES: Final = {
    "nvidia": "nvidia.com/gpu",
    "amd": "amd.com/gpu",
    "intel": "gpu.intel.com/xe",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedReplicas:
    """Like copies of one model, each on one node or spread over several.

    `command` is the engine's own, as the planner prints it; addresses, ports and ranks are added here. A spare is a
    copy like the others.
    """

    name: str  # a DNS label of at most 40 characters, see `label_of`
    engine: Engine
    image: str
    command: tuple[str, ...]
    n_replicas: int
    gpus_per_replica: int
    n_nodes_per_replica: int = 1
    gpu_vendor: str = "nvidia"
    node_labels: tuple[tuple[str, str], ...] = ()  # what a node of the cluster must carry
    max_start_s: int = 3600  # from the container's start to the first answer: downloads and loads the weights

    def __post_init__(self) -> None:
        if not _LABEL.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is no name for a service: lower-case letters, digits and dashes")
        if min(self.n_replicas, self.gpus_per_replica, self.n_nodes_per_replica, self.max_start_s) < 1:
            raise ValueError("replicas, GPUs, nodes and the time to start are at least 1")
        if self.gpus_per_replica % self.n_nodes_per_replica:
            raise ValueError(
                f"{self.gpus_per_replica} GPUs do not divide over {self.n_nodes_per_replica} nodes"
            )
        if self.gpu_vendor not in _GPU_RESOURCES:
            raise ValueError(f"no device plugin is known for GPUs of {self.gpu_vendor!r}")

    @property
    def gpus_per_node(self) -> int:
        """GPUs of a replica on each of its nodes."""
        return self.gpus_per_replica // self.n_nodes_per_replica

    @property
    def gpu_resource(self) -> str:
        """What Kubernetes' device plugin calls a GPU."""
        return _GPU_RESOURCES[self.gpu_vendor]


def label_of(model: str) -> str:
    """A name for services made of a model's, such as llama-3-3-70b-instruct for meta-llama/Llama-3.3-70B-Instruct."""
    words = _NOT_IN_LABELS.sub("-", model.rsplit("/", 1)[-1].casefold()).strip("-")
    return words[:_MAX_LABEL].strip("-") or "model"


def node_command(replicas: ServedReplicas, rank: str = "0", first_address: str = "") -> tuple[str, ...]:
    """The command on one node of a replica.

    `rank` and `first_address` (of the replica's first node) may be names of variables that the container's runtime
    replaces. vLLM: --nnodes, --node-rank, --master-addr, --headless with the mp backend (docs/serving/
    parallelism_scaling.md); SGLang: --nnodes, --node-rank, --dist-init-addr (docs/references/multi_node_deployment).
    """
    words = [*replicas.command, "--host", "0.0.0.0", "--port", str(PORT)]  # noqa: S104 (inside a container)
    n = replicas.n_nodes_per_replica
    if n == 1:
        return tuple(words)
    words += ["--nnodes", str(n), "--node-rank", rank]
    if replicas.engine == "sglang":
        return (*words, "--dist-init-addr", f"{first_address}:{_RENDEZVOUS_PORT}")
    words += ["--distributed-executor-backend", "mp"]
    words += ["--master-addr", first_address, "--master-port", str(_RENDEZVOUS_PORT)]
    return tuple(words if rank == "0" else [*words, "--headless"])


def gpu_groups(n_gpus: int, gpus_per_replica: int) -> Sequence[tuple[int, ...]]:
    """The GPUs of each replica on a machine: consecutive ones, which share switches and links."""
    n = n_gpus // gpus_per_replica
    return [tuple(range(i * gpus_per_replica, (i + 1) * gpus_per_replica)) for i in range(n)]
