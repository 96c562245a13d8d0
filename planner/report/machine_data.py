"""A machine as data, inside a larger document: the very JSON that `--on FILE` reads."""

from typing import Any

from hardware.machine_json import machine_to_json_data
from hardware.spec import Machine


def machine_data(machine: Machine) -> dict[str, Any]:
    """A machine with its devices, its schema first."""
    return machine_to_json_data(machine)
