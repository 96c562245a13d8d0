"""A Compose file for one machine: a service for each replica on its own GPUs, and a balancer in front of several.

Compose specification, https://github.com/compose-spec/compose-spec: `deploy.resources.reservations.devices` (05-services
and deploy.md), inline `configs.content` since Docker Compose 2.23.1.
"""

from typing import Any, Final

from planner.deploy.served_replicas import PORT, ServedReplicas, gpu_groups, node_command

BALANCER_IMAGE: Final = "nginx:stable"
_CHECK_EVERY_S: Final = 10
_DEVICES: Final = {"amd": ("/dev/kfd", "/dev/dri"), "intel": ("/dev/dri",)}
_VISIBLE: Final = {"amd": "ROCR_VISIBLE_DEVICES", "intel": "ZE_AFFINITY_MASK"}


def compose_file(replicas: ServedReplicas, n_gpus: int) -> dict[str, Any]:
    """The file's content for a machine with so many GPUs, filled with as many replicas as it holds.

    Raises ValueError when a replica does not fit on one machine: Compose starts containers on one.
    """
    if replicas.n_nodes_per_replica > 1 or replicas.gpus_per_replica > n_gpus:
        raise ValueError(
            f"a replica takes {replicas.gpus_per_replica} GPUs and Compose runs on one machine, with {n_gpus}; "
            "use Kubernetes for replicas over several nodes"
        )
    groups = list(gpu_groups(n_gpus, replicas.gpus_per_replica))[: replicas.n_replicas]
    several = len(groups) > 1
    services: dict[str, Any] = {}
    for number, gpus in enumerate(groups):
        name = f"{replicas.name}-{number}" if several else replicas.name
        services[name] = _service(replicas, gpus, is_published=not several)
    content: dict[str, Any] = {"name": replicas.name, "services": services, "volumes": {"models": {}}}
    if several:
        content["configs"] = {"balancer": {"content": _balancer(list(services))}}
        services["balancer"] = {
            "image": BALANCER_IMAGE,
            "ports": [f"{PORT}:{PORT}"],
            "configs": [{"source": "balancer", "target": "/etc/nginx/nginx.conf"}],
            "depends_on": {name: {"condition": "service_healthy"} for name in list(services)},
            "restart": "unless-stopped",
        }
    return content


def _service(replicas: ServedReplicas, gpus: tuple[int, ...], *, is_published: bool) -> dict[str, Any]:
    program, *arguments = node_command(replicas)
    service: dict[str, Any] = {
        "image": replicas.image,
        "entrypoint": [program],
        "command": [word.replace("$", "$$") for word in arguments],
        "environment": {"HF_TOKEN": "${HF_TOKEN:-}"},
        "volumes": [{"type": "volume", "source": "models", "target": "/root/.cache"}],
        "ipc": "host",
        "restart": "unless-stopped",
        "healthcheck": {
            "test": ["CMD", "curl", "-f", f"http://localhost:{PORT}/health"],
            "interval": f"{_CHECK_EVERY_S}s",
            "timeout": "5s",
            "retries": 3,
            "start_period": f"{replicas.max_start_s}s",
        },
    }
    if replicas.gpu_vendor == "nvidia":
        device = {"driver": "nvidia", "device_ids": [str(gpu) for gpu in gpus], "capabilities": ["gpu"]}
        service["deploy"] = {"resources": {"reservations": {"devices": [device]}}}
    else:
        service["devices"] = [f"{path}:{path}" for path in _DEVICES[replicas.gpu_vendor]]
        service["environment"][_VISIBLE[replicas.gpu_vendor]] = ",".join(str(gpu) for gpu in gpus)
    if is_published:
        service["ports"] = [f"{PORT}:{PORT}"]
    return service


def _balancer(names: list[str]) -> str:
    """A server in front: passes a request to the replica with the fewest open ones, and tokens back as they come."""
    servers = "".join(f"    server {name}:{PORT};\n" for name in names)
    return (
        "events {}\n"
        "http {\n"
        f"  upstream replicas {{\n    least_conn;\n{servers}  }}\n"
        "  server {\n"
        f"    listen {PORT};\n"
        "    client_max_body_size 64m;\n"
        "    location / {\n"
        "      proxy_pass http://replicas;\n"
        "      proxy_http_version 1.1;\n"
        '      proxy_set_header Connection "";\n'
        "      proxy_buffering off;\n"
        "      proxy_read_timeout 3600s;\n"
        "    }\n"
        "  }\n"
        "}\n"
    )
