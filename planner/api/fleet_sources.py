"""Gathers the machines of a fleet, wherever they stand."""

from pathlib import Path

from hardware.errors import DescriptionError
from hardware.fleet import Fleet
from hardware.fleets.folder import folder_fleet
from hardware.fleets.kubernetes import kubernetes_fleet
from hardware.fleets.ray import ray_fleet
from planner.progress import Progress

_MAX_SHOWN = 120


def gather_fleet(
    source: str, *, nodes_json: str | None = None, timeout_s: float = 120.0, progress: Progress | None = None
) -> Fleet:
    """The machines of "folder:PATH", "ray", "ray:ADDRESS", "kubernetes", or "-" with what kubectl printed."""
    kind, _, rest = source.strip().partition(":")
    if kind == "folder" and rest:
        return folder_fleet(Path(rest).expanduser())
    if kind == "ray":
        return ray_fleet(rest or None, timeout_s=timeout_s, progress=progress)
    if kind == "kubernetes" and not rest:
        return kubernetes_fleet()
    if kind == "-" and not rest and nodes_json is not None:
        return kubernetes_fleet(nodes_json)
    raise DescriptionError(
        f"{source[:_MAX_SHOWN]!r} is no source of a fleet; write folder:PATH, ray, ray:HOST:PORT, kubernetes, or - "
        "with kubectl get nodes -o json piped in"
    )
