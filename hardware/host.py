"""The processors and main memory of the machine at hand, whichever system it runs."""

import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hardware.probes.container import ContainerLimits
from hardware.probes.cpu import Runner, read_cpu, read_mac_cpu
from hardware.probes.memory import read_memory
from hardware.spec import Cpu, Memory

_TIMEOUT_S = 10.0


def run_command(command: Sequence[str]) -> str:
    """What a command prints; raises OSError when it is missing, fails or does not end."""
    try:
        done = subprocess.run(  # noqa: S603 - the commands are constants of the probes
            list(command), capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S, check=True
        )
    except subprocess.SubprocessError as error:
        raise OSError(f"{command[0]}: {error}") from error
    return done.stdout


def host_cpu(
    root: Path = Path("/"),
    limits: ContainerLimits | None = None,
    run: Runner = run_command,
    system: str | None = None,
    failures: list[str] | None = None,
) -> Cpu:
    """The processors here; raises OSError or ValueError where the system does not say.

    A detail that cannot be read is left out and named in `failures`.
    """
    if (system or platform.system()) == "Darwin":
        return read_mac_cpu(run)
    return read_cpu(root, limits, failures=failures)


def host_memory(
    root: Path = Path("/"),
    limits: ContainerLimits | None = None,
    psutil_module: Any = None,
    failures: list[str] | None = None,
) -> Memory:
    """Main memory here; raises OSError or ValueError where the system does not say.

    A detail that cannot be read is left out and named in `failures`.
    """
    return read_memory(root, limits, psutil_module, failures)


def system_name(root: Path = Path("/"), system: str | None = None) -> str:
    """The operating system for people, such as "Debian GNU/Linux 12 (bookworm)"."""
    system = system or platform.system()
    if system == "Darwin":
        return f"macOS {platform.mac_ver()[0]}".strip()
    file = root / "etc/os-release"
    if file.is_file():
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition("=")
            if key == "PRETTY_NAME":
                return value.strip().strip("\"'")
    return system or os.name
