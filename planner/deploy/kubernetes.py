"""Kubernetes objects for replicas on one node each: a Deployment, a Service, and a floor under disruptions."""

from typing import Any, Final

from planner.deploy.served_replicas import PORT, ServedReplicas, node_command

_CHECK_EVERY_S: Final = 10
_TOKEN_SECRET: Final = "hf-token"  # noqa: S105 (the name of a secret, not one)
_APP: Final = "app.kubernetes.io/name"


def kubernetes_objects(replicas: ServedReplicas, n_spares: int = 0) -> list[dict[str, Any]]:
    """The objects in the order in which they are applied. Spares are what upkeep may take away at a time."""
    if replicas.n_nodes_per_replica > 1:
        raise ValueError("a Deployment's pods stand alone; replicas over several nodes are a LeaderWorkerSet")
    labels = {_APP: replicas.name}
    template = {"metadata": {"labels": labels}, "spec": pod_spec(replicas, node_command(replicas))}
    template["spec"]["topologySpreadConstraints"] = [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": labels},
        }
    ]
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": replicas.name, "labels": labels},
        "spec": {
            "replicas": replicas.n_replicas,
            "selector": {"matchLabels": labels},
            # A new pod would need GPUs that the old ones still hold.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
            "progressDeadlineSeconds": replicas.max_start_s + 600,
            "template": template,
        },
    }
    return [deployment, service(replicas.name, labels), disruption_budget(replicas, labels, n_spares)]


def service(name: str, selector: dict[str, str]) -> dict[str, Any]:
    """One address for all replicas."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": {_APP: name}},
        "spec": {
            "selector": selector,
            "ports": [{"name": "http", "port": PORT, "targetPort": "http", "protocol": "TCP"}],
        },
    }


def disruption_budget(replicas: ServedReplicas, selector: dict[str, str], n_spares: int) -> dict[str, Any]:
    """Upkeep may stop the spares at once; without any, one replica at a time."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": replicas.name},
        "spec": {
            "maxUnavailable": max(1, n_spares),
            "selector": {"matchLabels": selector},
        },
    }


def pod_spec(replicas: ServedReplicas, command: tuple[str, ...], *, is_asked: bool = True) -> dict[str, Any]:
    """A pod that runs the engine on all its GPUs; one that is asked has a port and is watched."""
    gpus = {replicas.gpu_resource: replicas.gpus_per_node}
    container: dict[str, Any] = {
        "name": "engine",
        "image": replicas.image,
        # Kubernetes replaces $(NAME) in a command; what the engine's command holds of it is meant literally.
        "command": [word if word.startswith("$(LWS_") else word.replace("$(", "$$(") for word in command],
        "env": [_token()],
        "resources": {"limits": gpus, "requests": gpus},
        "volumeMounts": [
            {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 (inside the container)
            {"name": "models", "mountPath": "/root/.cache"},
        ],
    }
    if is_asked:
        check = {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": _CHECK_EVERY_S}
        container["ports"] = [{"name": "http", "containerPort": PORT, "protocol": "TCP"}]
        container["startupProbe"] = {**check, "failureThreshold": -(-replicas.max_start_s // _CHECK_EVERY_S)}
        container["readinessProbe"] = {**check, "timeoutSeconds": 5}
        container["livenessProbe"] = {**check, "timeoutSeconds": 10, "failureThreshold": 6}
    spec: dict[str, Any] = {
        "containers": [container],
        "terminationGracePeriodSeconds": 120,  # answers under way are finished
        "tolerations": [{"key": replicas.gpu_resource, "operator": "Exists", "effect": "NoSchedule"}],
        "volumes": [
            {"name": "shm", "emptyDir": {"medium": "Memory"}},
            {"name": "models", "emptyDir": {}},
        ],
    }
    if replicas.node_labels:
        spec["nodeSelector"] = dict(replicas.node_labels)
    return spec


def _token() -> dict[str, Any]:
    return {
        "name": "HF_TOKEN",
        "valueFrom": {"secretKeyRef": {"name": _TOKEN_SECRET, "key": "token", "optional": True}},
    }
