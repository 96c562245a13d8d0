"""A fleet from a running Ray cluster: each node looks at itself, in a task that runs there.

The probe travels with the task: Ray ships the packages `hardware` and `profiles` to every node. What they
import (psutil, platformdirs, pynvml) has to be there; a node that lacks it is reported by name. Ray itself is
imported only here, and only when asked for.
"""

import importlib
import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import hardware
import profiles
from hardware.errors import DescriptionError, HardwareError
from hardware.fleet import Fleet, FleetMember
from hardware.inspect import inspect_machine
from hardware.machine_json import machine_from_json, machine_to_json_data

DEFAULT_TIMEOUT_S = 120.0
_HEALTH_TIMEOUT_S = 20.0
_CONNECT_TIMEOUT_S = 5.0
_FETCH_TIMEOUT_S = 10.0
_TICK_S = 1.0
_MAX_LINE = 300
_DIED = "died while it was asked"

Check = Callable[[str | None], None]
Tick = Callable[[float, str], None]  # the part done, 0 to 1, and what is going on

# Ray hides devices from a task that asked for none by setting these; the node has them all the same.
_SET_BY_RAY = (
    "CUDA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "ONEAPI_DEVICE_SELECTOR",
    "ZE_AFFINITY_MASK",
)


def probe_node() -> str:
    """What runs on a node: its own machine as JSON."""
    environ = {name: value for name, value in os.environ.items() if name not in _SET_BY_RAY}
    return json.dumps(machine_to_json_data(inspect_machine(environ=environ)))


def ray_fleet(
    address: str | None = None,
    *,
    ray: Any = None,
    probe: Callable[[], str] = probe_node,
    check: Check | None = None,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    progress: Tick | None = None,
) -> Fleet:
    """The machines of the Ray cluster at `address` ("HOST:PORT", "ray://HOST:10001"; None for this host's).

    A node that fails, dies or does not answer in time is one member with a problem; the rest still come.
    Raises HardwareError when there is no cluster to ask. `ray`, `probe` and `check` stand in for the module,
    for what runs on a node, and for the sign of life.
    """
    ray = ray or _ray_module()
    where = address or "this host"
    if ray.is_initialized():
        raise HardwareError("this process is already connected to Ray; gather the fleet in one of its own")
    (check or check_cluster)(address)
    try:
        ray.init(
            address=address or "auto",
            log_to_driver=False,
            logging_level="ERROR",
            runtime_env={"py_modules": _packages(), "excludes": ["**/__pycache__"]},
        )
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        # Another version of Ray or Python on the cluster is a RuntimeError, no cluster a ConnectionError.
        raise HardwareError(f"cannot join the Ray cluster at {where}: {_line(error)}") from error
    try:
        members, problems = _gather(ray, probe, timeout_s, progress)
    finally:
        ray.shutdown()
    return Fleet(source=f"ray:{address}" if address else "ray", members=members, problems=problems)


def check_cluster(address: str | None) -> None:
    """Raises HardwareError unless the cluster gives a sign of life: `ray.init` waits for ever for a dead one.

    Ray's own health check does the same in minutes, so it runs in a process that can be ended.
    """
    address = address or os.environ.get("RAY_ADDRESS")
    if not address or "://" in address or address in ("auto", "local"):
        return  # ray.init finds a cluster on this host by itself, or says at once; ray:// has its own time-out
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_TIMEOUT_S):
            pass
    except (OSError, ValueError, OverflowError) as error:
        raise HardwareError(
            f"no Ray cluster at {address}: {_line(error)}; give the HOST:PORT that ray start printed"
        ) from error
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    try:
        subprocess.run(command, capture_output=True, timeout=_HEALTH_TIMEOUT_S, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        raise HardwareError(
            f"something answers at {address}, but it is no Ray cluster of this version (its health check did not "
            f"pass within {_HEALTH_TIMEOUT_S:.0f} s); give the HOST:PORT that ray start printed"
        ) from error


def _ray_module() -> Any:
    try:
        importlib.import_module("ray.util.scheduling_strategies")
        return importlib.import_module("ray")
    except ImportError as error:
        raise HardwareError(
            "a fleet from Ray needs Ray here, of the version that the cluster runs; add it with "
            "pip install 'llm-capacity-planner[ray]'"
        ) from error


def _packages() -> list[str]:
    """The folders that a node needs to run the probe."""
    return [str(Path(package.__path__[0])) for package in (hardware, profiles)]


def _gather(
    ray: Any, probe: Callable[[], str], timeout_s: float, progress: Tick | None
) -> tuple[tuple[FleetMember, ...], tuple[str, ...]]:
    listed = ray.nodes()
    nodes = {node["NodeID"]: node for node in listed if node.get("Alive")}
    names = _names(nodes)
    affinity = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    task = ray.remote(num_cpus=0, max_retries=0)(probe)
    waiting = {
        task.options(scheduling_strategy=affinity(node_id=node, soft=False)).remote(): node for node in nodes
    }
    found: dict[str, FleetMember] = {}
    deadline = time.monotonic() + timeout_s
    while waiting and (left_s := deadline - time.monotonic()) > 0:
        ready, _ = ray.wait(list(waiting), num_returns=1, timeout=min(_TICK_S, left_s))
        for reference in ready:
            node = waiting.pop(reference)
            found[node] = _member(ray, reference, names[node], nodes[node])
        # A task whose node is gone may never be told so, so the list of nodes is asked too.
        alive = (
            {node["NodeID"] for node in ray.nodes() if node.get("Alive")} if waiting and not ready else nodes
        )
        for reference, node in [pair for pair in waiting.items() if pair[1] not in alive]:
            del waiting[reference]
            found[node] = FleetMember(name=names[node], machine=None, problem=_DIED)
        if progress is not None:
            progress(len(found) / len(nodes), f"{len(found)} of {len(nodes)} nodes answered")
    for reference, node in waiting.items():
        ray.cancel(reference, force=True)
        problem = f"did not answer within {timeout_s:g} s"
        found[node] = FleetMember(name=names[node], machine=None, problem=problem)
    members = tuple(sorted(found.values(), key=lambda member: member.name))
    return members, _remarks(listed)


def _member(ray: Any, reference: Any, name: str, node: Mapping[str, Any]) -> FleetMember:
    """What one node answered, or why it did not."""
    try:
        text = ray.get(reference, timeout=_FETCH_TIMEOUT_S)
        machine = machine_from_json(text, source=f"the answer of {name}")
    except ray.exceptions.NodeDiedError:
        return FleetMember(name=name, machine=None, problem=_DIED)
    except (ray.exceptions.RayError, DescriptionError) as error:
        # A task's own error carries its traceback as text; the cause is the line that a person needs.
        return FleetMember(name=name, machine=None, problem=_line(getattr(error, "cause", None) or error))
    notes = machine.problems
    n_ray = (node.get("Resources") or {}).get("GPU", 0)
    if n_ray != len(machine.gpus):
        notes += (f"Ray schedules onto {n_ray:g} GPUs here, its driver shows {len(machine.gpus)}",)
    return FleetMember(name=name, machine=replace(machine, name=name, problems=notes))


def _names(nodes: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """A name for each node: its host's, with the start of its id where several share a host."""
    hosts = {node: _host(facts) for node, facts in nodes.items()}
    counts = Counter(hosts.values())
    return {node: host if counts[host] == 1 else f"{host} ({node[:8]})" for node, host in hosts.items()}


def _host(node: Mapping[str, Any]) -> str:
    return str(node.get("NodeManagerHostname") or node.get("NodeName") or node["NodeID"])


def _remarks(nodes: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    dead = [node for node in nodes if not node.get("Alive")]
    hosts = Counter(_host(node) for node in nodes if node.get("Alive"))
    remarks = [
        f"{count} Ray nodes run on the host {host}: its hardware is shown for each of them, though it is one"
        for host, count in hosts.items()
        if count > 1
    ]
    if dead:
        remarks.append(f"left out: {len(dead)} node{'s' if len(dead) > 1 else ''} that Ray lists as dead")
    return tuple(remarks)


def _line(error: BaseException) -> str:
    """An error as one line; one without words by its name."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, ImportError):
        text = f"the probe cannot run there: {text}; install what is missing, or the planner, on that node"
    return text if len(text) <= _MAX_LINE else f"{text[:_MAX_LINE]}…"
