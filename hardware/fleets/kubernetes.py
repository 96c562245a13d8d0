"""A fleet from Kubernetes: what `kubectl get nodes -o json` says of each node, and nothing that it does not.

Labels and resources describe a machine as words would: its memory is what pods can be given, how much of it is
free is not known here.
"""

import math
import re
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from hardware.accelerators import Row
from hardware.described import describe_machine
from hardware.errors import DescriptionError, HardwareError
from hardware.fleet import Fleet, FleetMember
from hardware.fleet_json import MAX_MACHINES
from hardware.fleets.node_labels import Describe, node_gpus
from hardware.machine_json import json_document
from hardware.probes.cpu import Runner
from hardware.spec import Cpu, Machine, Memory
from hardware.units import GB, GIB, KB, KIB, MB, MIB, TB, TIB

GET_NODES = ("kubectl", "get", "nodes", "-o", "json")
_TIMEOUT_S = 60.0
_MAX_BYTES = 256 * MIB  # 5,000 nodes, the most that Kubernetes supports, at some 20 KiB each are 100 MiB
_MAX_LINE = 300

_QUANTITY = re.compile(r"(\d{1,20}(?:\.\d{1,9})?)(?:([eE]\d{1,2})|(m|k|Ki|M|Mi|G|Gi|T|Ti)?)")
_SUFFIXES = {"m": 1 / KB, "k": KB, "Ki": KIB, "M": MB, "Mi": MIB, "G": GB, "Gi": GIB, "T": TB, "Ti": TIB}
_MAX_QUANTITY = 2**53

# Node feature discovery's names for what `instruction_sets` calls otherwise.
_CPUID = {
    "AVX": "avx", "AVX2": "avx2", "FMA3": "fma", "F16C": "f16c", "AVX512F": "avx512f", "AVX512BW": "avx512bw",
    "AVX512VNNI": "avx512_vnni", "AVX512BF16": "avx512_bf16", "AVX512FP16": "avx512_fp16", "AVXVNNI": "avx_vnni",
    "AMXTILE": "amx_tile", "AMXINT8": "amx_int8", "AMXBF16": "amx_bf16", "ASIMD": "neon", "SVE": "sve",
}  # fmt: skip
_CPUID_LABEL = "feature.node.kubernetes.io/cpu-cpuid."


def kubernetes_fleet(
    text: str | None = None,
    *,
    run: Runner | None = None,
    describe: Describe = describe_machine,
    rows: Iterable[Row] | None = None,
) -> Fleet:
    """The nodes of a cluster, from `text` or, without one, from kubectl with the context it has now.

    A node that is damaged costs one line; nodes that are not ready or take no pods are listed with the reason.
    Raises HardwareError, one line, when kubectl does not answer or its answer is no list of nodes.
    """
    source = "the answer of kubectl get nodes" if text is None else "the list of nodes"
    if text is None:
        try:
            text = (run or run_kubectl)(GET_NODES)
        except OSError as error:
            raise HardwareError(
                f"kubectl get nodes did not answer: {_line(error)}; pipe its JSON in with --fleet - instead"
            ) from error
    data = json_document(text, source, _MAX_BYTES)
    items = data.get("items") if isinstance(data, dict) else None
    if isinstance(data, dict) and data.get("kind") == "Node":
        items = [data]
    if not isinstance(items, list):
        raise DescriptionError(f"{source} holds no nodes; write it with kubectl get nodes -o json")
    if len(items) > MAX_MACHINES:
        raise DescriptionError(f"{source} holds {len(items):,} nodes, at most {MAX_MACHINES:,} are read")
    table = None if rows is None else tuple(rows)
    return Fleet(
        source="kubernetes", members=tuple(_member(item, i, describe, table) for i, item in enumerate(items))
    )


def run_kubectl(command: Sequence[str]) -> str:
    """What kubectl prints; raises OSError with its own words when it fails or does not end."""
    try:
        done = subprocess.run(  # noqa: S603 - the command is a constant of this module
            list(command), capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S, check=False
        )
    except FileNotFoundError as error:
        raise OSError("it is not installed here") from error
    except subprocess.TimeoutExpired as error:
        raise OSError(f"nothing within {_TIMEOUT_S:.0f} s") from error
    if done.returncode:
        raise OSError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "it failed")
    return done.stdout


def _member(item: Any, index: int, describe: Describe, rows: tuple[Row, ...] | None) -> FleetMember:
    name = f"node {index + 1}"
    metadata = _object(item, "metadata")
    found = metadata.get("name")
    if isinstance(found, str) and 0 < len(found) <= 253:  # the longest name that Kubernetes allows
        name = found
    try:
        machine = _machine(name, item, metadata, describe, rows)
    except ValueError as error:
        return FleetMember(name=name, machine=None, problem=f"not understood: {_line(error)}")
    return FleetMember(name=name, machine=machine, problem=_why_not(item))


def _machine(
    name: str,
    item: Any,
    metadata: Mapping[str, Any],
    describe: Callable[[str], Machine],
    rows: tuple[Row, ...] | None,
) -> Machine:
    status = _object(item, "status")
    labels, capacity = _texts(metadata, "labels"), _texts(status, "capacity")
    allocatable, info = _texts(status, "allocatable"), _texts(status, "nodeInfo")
    if not capacity:
        raise ValueError("it states no capacity")
    found = node_gpus(labels, capacity, allocatable, describe, rows)
    notes = [*found.notes, *_taints(item), "free memory is unknown: labels do not tell what pods use now"]
    return Machine(
        name=name,
        cpu=_cpu(labels, capacity, allocatable, info),
        memory=_memory(capacity, allocatable),
        gpus=found.gpus,
        described=True,
        os=info.get("osImage"),
        gpu_driver=_driver(labels) if found.gpus else None,
        problems=tuple(notes),
    )


def _cpu(
    labels: Mapping[str, str],
    capacity: Mapping[str, str],
    allocatable: Mapping[str, str],
    info: Mapping[str, str],
) -> Cpu | None:
    text = allocatable.get("cpu", capacity.get("cpu"))
    if text is None:
        return None
    n_threads = math.floor(_quantity("cpu", text))
    sets = [
        name for cpuid, name in _CPUID.items() if labels.get(f"{_CPUID_LABEL}{cpuid}", "false") != "false"
    ]
    return Cpu(
        model=f"unknown {info.get('architecture', '')} processor".replace("  ", " "),
        n_sockets=None,
        n_physical_cores=None,
        n_usable_threads=max(1, n_threads),
        instruction_sets=tuple(sets),
    )


def _memory(capacity: Mapping[str, str], allocatable: Mapping[str, str]) -> Memory | None:
    if "memory" not in capacity:
        return None
    total = round(_quantity("memory", capacity["memory"]))
    given = round(_quantity("memory", allocatable.get("memory", capacity["memory"])))
    if total <= 0 or given <= 0:
        raise ValueError(f"its memory is {capacity['memory']}")
    given = min(total, given)
    if given == total:
        return Memory(total_bytes=total, available_bytes=total)
    source = "allocatable to pods, after Kubernetes"
    return Memory(total_bytes=total, available_bytes=given, limit_bytes=given, limit_source=source)


def _driver(labels: Mapping[str, str]) -> str | None:
    """The NVIDIA driver's version; older discovery gives it in three parts."""
    whole = labels.get("nvidia.com/cuda.driver-version.full")
    parts = [labels.get(f"nvidia.com/cuda.driver.{part}") for part in ("major", "minor", "rev")]
    return whole or ".".join(part for part in parts if part) or None


def _why_not(item: Any) -> str | None:
    """Why pods cannot be put on a node now; None when they can."""
    conditions = _object(item, "status").get("conditions")
    ready = [
        condition
        for condition in (conditions if isinstance(conditions, list) else [])
        if isinstance(condition, dict) and condition.get("type") == "Ready"
    ]
    if ready and ready[0].get("status") != "True":
        reason = ready[0].get("reason") or "no reason given"
        return _line(f"not ready: {reason}")
    if _object(item, "spec").get("unschedulable") is True:
        return "cordoned: it takes no new pods"
    return None


def _taints(item: Any) -> list[str]:
    taints = _object(item, "spec").get("taints")
    found = [taint for taint in taints if isinstance(taint, dict)] if isinstance(taints, list) else []
    words = [f"{taint.get('key')}:{taint.get('effect')}" for taint in found[:10]]
    return [_line(f"pods need a toleration for {', '.join(words)}")] if words else []


def _quantity(what: str, text: str) -> float:
    """A quantity of Kubernetes: "96", "95500m", "2113418240Ki", "1e3"."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"its {what} is {text[:40]!r}, which is no quantity")
    number, exponent, suffix = match.groups()
    value = float(number + (exponent or "")) * _SUFFIXES.get(suffix or "", 1)
    if value > _MAX_QUANTITY:
        raise ValueError(f"its {what} is {text[:40]!r}, more than any machine has")
    return value


def _object(data: Any, key: str) -> Mapping[str, Any]:
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, dict) else {}


def _texts(data: Mapping[str, Any], key: str) -> dict[str, str]:
    """The entries of an object that are short texts, as labels and quantities are; numbers as JSON writes them."""
    return {
        name: str(value)
        for name, value in _object(data, key).items()
        if type(value) in (str, int) and len(str(value)) <= _MAX_LINE
    }


def _line(text: object) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= _MAX_LINE else f"{line[:_MAX_LINE]}…"
