"""Replicas that span nodes: a LeaderWorkerSet, whose groups of pods start, fail and restart as one.

https://github.com/kubernetes-sigs/lws, API leaderworkerset.x-k8s.io/v1: pods of a group find their leader's address in
LWS_LEADER_ADDRESS and their own number in LWS_WORKER_INDEX.
"""

from typing import Any, Final

from planner.deploy.kubernetes import disruption_budget, pod_spec, service
from planner.deploy.served_replicas import ServedReplicas, node_command

_LEADER: Final = "$(LWS_LEADER_ADDRESS)"
_RANK: Final = "$(LWS_WORKER_INDEX)"
_SET_NAME: Final = "leaderworkerset.sigs.k8s.io/name"
_ROLE: Final = {"role": "leader"}


def leader_worker_objects(replicas: ServedReplicas, n_spares: int = 0) -> list[dict[str, Any]]:
    """The set, the address of its leaders, which alone answer requests, and the floor under disruptions."""
    n = replicas.n_nodes_per_replica
    if n < 2:
        raise ValueError("a replica on one node needs no leader; it is a pod of a Deployment")
    whole = {_SET_NAME: replicas.name}
    leaders = {**whole, **_ROLE}
    leader = pod_spec(replicas, node_command(replicas, "0", _LEADER))
    worker = pod_spec(replicas, node_command(replicas, _RANK, _LEADER), is_asked=False)
    workers = {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {"name": replicas.name},
        "spec": {
            "replicas": replicas.n_replicas,
            # All pods of a group are started at once: each waits for the others.
            "startupPolicy": "LeaderCreated",
            "leaderWorkerTemplate": {
                "size": n,
                "restartPolicy": "RecreateGroupOnPodRestart",
                "leaderTemplate": {"metadata": {"labels": _ROLE}, "spec": leader},
                "workerTemplate": {"spec": worker},
            },
        },
    }
    return [workers, service(replicas.name, leaders), disruption_budget(replicas, whole, n_spares)]
