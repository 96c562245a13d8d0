"""The GPUs of a Kubernetes node, after what discovery tools label it with and what its device plugins offer.

Labels, in the order of how much they say:
- NVIDIA GPU feature discovery: nvidia.com/gpu.product, .count, .memory (MiB), .replicas, mig-<PROFILE>.*
  (https://github.com/NVIDIA/k8s-device-plugin/blob/main/docs/gpu-feature-discovery/README.md)
- AMD's node labeller: amd.com/gpu.product-name, .vram
  (https://instinct.docs.amd.com/projects/k8s-device-plugin/en/latest/)
- Intel's: gpu.intel.com/product, device.count
  (https://intel.github.io/intel-device-plugins-for-kubernetes/cmd/gpu_plugin/labels.html)
- the instance type, where a profile describes it; then the clouds' own names for the device
What none of them says stays unknown, with a line.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from hardware.accelerators import Row, find_accelerator, match_driver_name, mig_slice
from hardware.errors import HardwareError, UnknownDeviceError
from hardware.spec import Accelerator, Gpu, Machine
from hardware.units import GIB, MIB

Describe = Callable[[str], Machine]

_MAX_GPUS = 1024
_COUNT = re.compile(r"\d{1,6}")
_MIG_RESOURCE = re.compile(r"nvidia\.com/mig-([\w.+-]{1,40})")
_MIG_COMPUTE = re.compile(r"(\d)g\.")
_MIG_PRODUCT = re.compile(r"(.+)-MIG-(\d{1,2}[gc][\w.+]{1,30})")
_VRAM = re.compile(r"(\d{1,6})(?:G|Gi)")
_SHARED = "-SHARED"
# How many GPU slices a card can be cut into: 7, and 4 on these (NVIDIA MIG user guide, supported profiles).
_FOUR_SLICES = ("NVIDIA A30", "NVIDIA RTX PRO 6000")
_INSTANCE_LABELS = ("node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type")

# What device plugins offer, and the backend that an engine would use; "" for devices of a kind of their own.
_RESOURCES = {
    "nvidia.com/gpu": ("NVIDIA GPU", "cuda"),
    "nvidia.com/gpu.shared": ("NVIDIA GPU", "cuda"),
    "amd.com/gpu": ("AMD GPU", "rocm"),
    "gpu.intel.com/i915": ("Intel GPU", "sycl"),
    "gpu.intel.com/xe": ("Intel GPU", "sycl"),
    "habana.ai/gaudi": ("Intel Gaudi", "habana"),
    "google.com/tpu": ("Google TPU", "tpu"),
    "aws.amazon.com/neuron": ("AWS Neuron device", "neuron"),
}
# https://cloud.google.com/kubernetes-engine/docs/concepts/tpus names the label's values.
_TPUS = {
    "tpu-v4-podslice": "TPU v4",
    "tpu-v5-lite-device": "TPU v5e",
    "tpu-v5-lite-podslice": "TPU v5e",
    "tpu-v5p-slice": "TPU v5p",
    "tpu-v6e-slice": "TPU v6e",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledGpus:
    """The GPUs of a node, and a line for each thing about them that stays unknown."""

    gpus: tuple[Gpu, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """Like devices of one resource: what they are called, how much memory each has, how many there are."""

    name: str
    count: int
    backend: str
    memory_bytes: int | None = None
    accelerator: Accelerator | None = None
    mig_profile: str | None = None
    compute_capability: str | None = None


def node_gpus(
    labels: Mapping[str, str],
    capacity: Mapping[str, str],
    allocatable: Mapping[str, str],
    describe: Describe,
    rows: Iterable[Row] | None = None,
) -> LabelledGpus:
    """The GPUs that pods can be given on a node; `describe` is asked for the instance type."""
    table = None if rows is None else tuple(rows)
    kinds: list[_Kind] = []
    notes: list[str] = []
    for resource, (vendor, backend) in _RESOURCES.items():
        n_there = _count(capacity.get(resource)) or 0
        n_given = _count(allocatable.get(resource, capacity.get(resource))) or 0
        if n_there == 0:
            continue
        if n_given < n_there:
            notes.append(f"{resource}: {n_given} of {n_there} can be given to pods; the others are unhealthy")
        kind = _labelled(resource, labels, n_given, backend, notes, table)
        kind = kind or _of_instance(labels, n_given, describe, notes)
        kind = kind or _named_by_cloud(labels, n_given, backend, table)
        if kind is None:
            notes.append(f"{n_given} × {resource}: no label says which device it is, so it stays unknown")
            kind = _Kind(name=f"unknown {vendor}", count=n_given, backend=backend)
        kinds.append(kind)
    kinds += _mig_kinds(labels, capacity, allocatable, table)
    if not kinds and (_count(labels.get("nvidia.com/gpu.count")) or 0):
        notes.append("labels name NVIDIA GPUs, but no device plugin offers them to pods")
    return _listed(kinds, notes)


def _listed(kinds: list[_Kind], notes: list[str]) -> LabelledGpus:
    gpus: list[Gpu] = []
    for kind in kinds:
        if kind.accelerator is None and not kind.name.startswith("unknown "):
            notes.append(f"{kind.name}: no profile is known under this name, so its speed stays unknown")
        if kind.memory_bytes is None:
            notes.append(f"{kind.name}: its memory is unknown, so it is not planned with")
        for _ in range(min(kind.count, _MAX_GPUS - len(gpus))):
            gpus.append(
                Gpu(
                    index=len(gpus),
                    name=kind.name,
                    memory_bytes=kind.memory_bytes,
                    free_bytes=None,
                    accelerator=kind.accelerator,
                    backend=kind.backend,
                    compute_capability=kind.compute_capability,
                    mig_profile=kind.mig_profile,
                )
            )
    return LabelledGpus(gpus=tuple(gpus), notes=tuple(dict.fromkeys(notes)))


def _labelled(
    resource: str,
    labels: Mapping[str, str],
    count: int,
    backend: str,
    notes: list[str],
    rows: tuple[Row, ...] | None,
) -> _Kind | None:
    """What the vendor's own discovery says of the devices that it offers under `resource`."""
    if backend == "cuda":
        return _nvidia(labels, count, notes, rows)
    if backend == "rocm":
        return _amd(labels, count, rows)
    if backend == "sycl":
        product = labels.get("gpu.intel.com/product", "")
        n_cards = _count(labels.get("gpu.intel.com/device.count")) or count
        return _kind(f"Intel {_words(product)}", None, n_cards, backend, rows) if product else None
    if resource == "google.com/tpu":
        tpu = _TPUS.get(labels.get("cloud.google.com/gke-tpu-accelerator", ""))
        return _kind(tpu, None, count, backend, rows) if tpu else None
    return None


def _nvidia(
    labels: Mapping[str, str], count: int, notes: list[str], rows: tuple[Row, ...] | None
) -> _Kind | None:
    product = labels.get("nvidia.com/gpu.product", "").removesuffix(_SHARED)
    if not product:
        return None
    memory_mib = _count(labels.get("nvidia.com/gpu.memory"))
    memory_bytes = memory_mib * MIB if memory_mib else None
    n_sharing = _count(labels.get("nvidia.com/gpu.replicas")) or 1
    if n_sharing > 1:
        count = max(1, count // n_sharing)
        notes.append(f"each {_words(product)} is shared by up to {n_sharing} pods; counted once, as a whole")
    major, minor = (_count(labels.get(f"nvidia.com/gpu.compute.{part}")) for part in ("major", "minor"))
    capability = None if major is None or minor is None else f"{major}.{minor}"
    if cut := _MIG_PRODUCT.fullmatch(product):
        n_slices = _count(labels.get("nvidia.com/gpu.slices.gi"))
        kind = _mig(_words(cut.group(1)), cut.group(2), memory_bytes, n_slices, count, rows)
    else:
        kind = _kind(_words(product), memory_bytes, count, "cuda", rows)
    return replace(kind, compute_capability=capability)


def _mig_kinds(
    labels: Mapping[str, str],
    capacity: Mapping[str, str],
    allocatable: Mapping[str, str],
    rows: tuple[Row, ...] | None,
) -> list[_Kind]:
    """Slices that are offered under names of their own, as the mixed strategy does."""
    kinds = []
    for resource in sorted(capacity):
        match = _MIG_RESOURCE.fullmatch(resource)
        count = _count(allocatable.get(resource, capacity[resource]))
        if match is None or not count:
            continue
        product = labels.get(f"{resource}.product", "").removesuffix(_SHARED)
        cut = _MIG_PRODUCT.fullmatch(product)
        memory_mib = _count(labels.get(f"{resource}.memory"))
        kinds.append(
            _mig(
                _words(cut.group(1)) if cut else "unknown NVIDIA GPU",
                match.group(1),
                memory_mib * MIB if memory_mib else None,
                _count(labels.get(f"{resource}.slices.gi")),
                max(1, count // (_count(labels.get(f"{resource}.replicas")) or 1)),
                rows,
            )
        )
    return kinds


def _mig(
    card: str,
    profile: str,
    memory_bytes: int | None,
    n_slices: int | None,
    count: int,
    rows: tuple[Row, ...] | None,
) -> _Kind:
    whole = match_driver_name(card, None, rows)
    accelerator = None
    if n_slices is None and (of_compute := _MIG_COMPUTE.match(profile)):
        n_slices = int(of_compute.group(1))  # the profile's own name says it: "1g.10gb"
    if whole is not None and memory_bytes and n_slices:
        total = 4 if card.startswith(_FOUR_SLICES) else 7
        accelerator = mig_slice(whole, memory_bytes=memory_bytes, n_slices=n_slices, n_slices_total=total)
    return _Kind(
        name=card,
        count=count,
        backend="cuda",
        memory_bytes=memory_bytes,
        accelerator=accelerator,
        mig_profile=profile,
    )


def _amd(labels: Mapping[str, str], count: int, rows: tuple[Row, ...] | None) -> _Kind | None:
    """The labeller rounds memory to GiB, so a profile's own figure is the better one where the two agree."""
    product = labels.get("amd.com/gpu.product-name", labels.get("beta.amd.com/gpu.product-name", ""))
    vram = _VRAM.fullmatch(labels.get("amd.com/gpu.vram", labels.get("beta.amd.com/gpu.vram", "")))
    if not product:
        return None
    kind = _kind(_words(product), int(vram.group(1)) * GIB if vram else None, count, "rocm", rows)
    if kind.accelerator is None or kind.accelerator.unified_memory:
        return kind
    return replace(kind, memory_bytes=kind.accelerator.memory_bytes)


def _of_instance(labels: Mapping[str, str], count: int, describe: Describe, notes: list[str]) -> _Kind | None:
    """The device of a cloud's instance type, where a profile has that very name and as many devices."""
    name = next((labels[label] for label in _INSTANCE_LABELS if labels.get(label)), None)
    if name is None:
        return None
    try:
        gpus = describe(name).gpus
    except HardwareError:
        return None  # no profile: the next source may know
    if not gpus or len({gpu.name for gpu in gpus}) > 1 or len(gpus) < count:
        return None
    notes.append(f"{gpus[0].name} after the instance type {name}")
    gpu = gpus[0]
    return _Kind(
        name=gpu.name,
        count=count,
        backend=gpu.backend,
        memory_bytes=gpu.memory_bytes,
        accelerator=gpu.accelerator,
        compute_capability=gpu.compute_capability,
    )


def _named_by_cloud(
    labels: Mapping[str, str], count: int, backend: str, rows: tuple[Row, ...] | None
) -> _Kind | None:
    """Short names such as "nvidia-l4" or "a100", which may mean several devices and then stay without profile."""
    gke = labels.get("cloud.google.com/gke-accelerator")
    karpenter = labels.get("karpenter.k8s.aws/instance-gpu-name")
    memory_mib = _count(labels.get("karpenter.k8s.aws/instance-gpu-memory"))
    name = gke or karpenter
    if not name:
        return None
    return _kind(_words(name), memory_mib * MIB if memory_mib and not gke else None, count, backend, rows)


def _kind(
    name: str, memory_bytes: int | None, count: int, backend: str, rows: tuple[Row, ...] | None
) -> _Kind:
    accelerator = match_driver_name(name, memory_bytes, rows)
    if accelerator is None and memory_bytes is None:
        try:
            accelerator = find_accelerator(name, rows)
        except UnknownDeviceError:
            accelerator = None
    if memory_bytes is None and accelerator is not None and not accelerator.unified_memory:
        memory_bytes = accelerator.memory_bytes
    return _Kind(name=name, count=count, backend=backend, memory_bytes=memory_bytes, accelerator=accelerator)


def _words(label: str) -> str:
    """A label's value as a name: spaces cannot stand in one, so tools write dashes or underscores."""
    return " ".join(re.split(r"[\s_-]+", label))


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and _COUNT.fullmatch(text) else None
