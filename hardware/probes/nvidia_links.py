"""How NVIDIA GPUs reach each other: NVLink, NVLink-C2C to the processor, the NVSwitch fabric, peer access."""

import ctypes
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hardware.gpu_details import Fabric, GpuLinks, GpuPeer
from hardware.probes.nvidia_details import pci_address
from hardware.probes.nvidia_query import Asker, error_words
from hardware.units import MB

_MAX_LINKS = 36  # NVML_NVLINK_MAX_LINKS
_LINK_COUNT, _LINK_SPEED_COMMON, _LINK_SPEED = 91, 90, 164  # fields; speeds are MB/s, one way
_C2C_COUNT, _C2C_STATUS, _C2C_SPEED = 170, 171, 172
_TO_GPU, _TO_SWITCH = 0, 2
_VERSIONS = {1: "1.0", 2: "2.0", 3: "2.2", 4: "3.0", 5: "3.1", 6: "4.0", 7: "5.0", 8: "6.0"}

_READ, _OVER_NVLINK = 0, 2  # written out: the module's own name for the first is a tuple by mistake
_P2P = {
    0: None,
    1: "chipset not supported",
    2: "GPU not supported",
    3: "topology not supported",
    4: "disabled in the driver's registry",
    5: "not supported",
    6: "unknown",
}
_UNKNOWN_P2P = 6
_DISTANCES = {
    0: "same board",
    10: "one PCIe switch",
    20: "several PCIe switches",
    30: "one host bridge",
    40: "one NUMA node",
    50: "across sockets",
}

_FABRIC_STATES = {0: "not supported", 1: "not started", 2: "in progress", 3: "completed"}
# First bit and width of each part of the health mask, the value that means trouble, and the trouble.
_HEALTH = (
    (0, 2, 1, "degraded bandwidth"),
    (2, 2, 1, "route recovery in progress"),
    (4, 2, 1, "unhealthy route"),
    (6, 2, 1, "access timeout recovery in progress"),
)
_CONFIGURATION_SHIFT, _CONFIGURATION_MASK = 8, 0xF
_CONFIGURATIONS = {
    2: "wrong system GUID",
    3: "wrong chassis serial number",
    4: "no partition",
    5: "too few NVLinks",
    6: "incompatible GPU firmware",
    7: "invalid location",
    8: "invalid GPU state",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A whole GPU to ask: its place in the driver's list, its handle, its address, and who asks."""

    index: int
    handle: Any
    address: str | None
    asker: Asker


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkEnds:
    """Where the active NVLinks of one card end: how many at each address, and whether at switches."""

    links: GpuLinks | None = None
    at_address: Counter[str] | None = None


def read_links(card: Card) -> LinkEnds:
    """The NVLinks of one card: how many, how many up, which version and speed, and where they end."""
    asker, handle, topic = card.asker, card.handle, "NVLink"
    states: list[int] = []
    n_fitted = _field(asker, handle, _LINK_COUNT)
    for link in range(min(_MAX_LINKS if n_fitted is None else int(n_fitted), _MAX_LINKS)):
        # Beyond its last link a card answers "not supported" or "invalid argument".
        state = asker.ask("nvmlDeviceGetNvLinkState", handle, link, topic=topic, quiet=n_fitted is None)
        if state is None and n_fitted is None:
            break
        states.append(int(state or 0))
    active = [link for link, state in enumerate(states) if state]
    if not states:
        return LinkEnds()
    ends: Counter[str] = Counter()
    kinds: set[int] = set()
    for link in active:
        kind = asker.ask("nvmlDeviceGetNvLinkRemoteDeviceType", handle, link, topic=topic)
        kinds |= set() if kind is None else {int(kind)}
        if kind == _TO_SWITCH:
            continue
        remote = asker.ask("nvmlDeviceGetNvLinkRemotePciInfo", handle, link, topic=topic)
        address = None if remote is None else pci_address(remote.busId)
        ends.update([] if address is None else [address])
    version = asker.ask("nvmlDeviceGetNvLinkVersion", handle, active[0], topic=topic) if active else None
    links = GpuLinks(
        kind="NVLink",
        n_links=len(states),
        n_active=len(active),
        version=None if version is None else _VERSIONS.get(int(version)),
        bytes_per_s_each=_speed(asker, handle, active),
        to_switch=None if not kinds else _TO_SWITCH in kinds,
    )
    return LinkEnds(links=links, at_address=ends)


def _speed(asker: Asker, handle: Any, active: Sequence[int]) -> float | None:
    """One way over one link; newer drivers tell it per link, older ones once for all."""
    if not active:
        return None
    rate = _field(asker, handle, _LINK_SPEED, active[0]) or _field(asker, handle, _LINK_SPEED_COMMON)
    return rate * MB if rate else None


def read_c2c(asker: Asker, handle: Any) -> GpuLinks | None:
    """The links between a Grace processor and its GPU, where there are any."""
    n_links = _field(asker, handle, _C2C_COUNT)
    if not n_links:
        return None
    links = range(min(int(n_links), _MAX_LINKS))
    states = [_field(asker, handle, _C2C_STATUS, link) for link in links]
    rate = _field(asker, handle, _C2C_SPEED, 0)
    return GpuLinks(
        kind="NVLink-C2C",
        n_links=int(n_links),
        n_active=sum(1 for state in states if state),
        bytes_per_s_each=rate * MB if rate else None,
        to_switch=False,
    )


def _field(asker: Asker, handle: Any, field: int, scope: int = 0) -> float | None:
    """One of the driver's numbered fields; each carries its own return code."""
    values = asker.ask("nvmlDeviceGetFieldValues", handle, [(field, scope)], quiet=True)
    if values is None or int(values[0].nvmlReturn) != 0:
        return None
    kind, value = int(values[0].valueType), values[0].value
    # nvmlValueType_t: double, unsigned int, unsigned long, unsigned long long, long long, int, short
    names = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
    return float(getattr(value, names[kind])) if kind < len(names) else None


def read_fabric(asker: Asker, handle: Any) -> Fabric | None:
    """Whether the GPU has joined its NVSwitch fabric; None for a GPU without one."""
    info = _fabric_info(asker, handle)
    if info is None or int(info.state) == 0:
        return None
    status = int(info.status)
    error = error_words(asker.nvml.NVMLError(status)) if status else None
    cluster = bytes(info.clusterUuid)
    mask = int(getattr(info, "healthMask", 0))
    return Fabric(
        state=_FABRIC_STATES.get(int(info.state), f"state {int(info.state)}"),
        error=error,
        # A node with switches of its own, not part of a larger domain, has the cluster zero.
        cluster=str(uuid.UUID(bytes=cluster)) if any(cluster) else None,
        clique=int(info.cliqueId) if any(cluster) else None,
        health=_health(mask),
    )


def _fabric_info(asker: Asker, handle: Any) -> Any:
    """The newest form of the answer that module and driver both know; only it has the health mask."""
    for function, struct in (
        ("nvmlDeviceGetGpuFabricInfoV", "c_nvmlGpuFabricInfo_v2_t"),
        ("nvmlDeviceGetGpuFabricInfo", "c_nvmlGpuFabricInfo_t"),
    ):
        make = getattr(asker.nvml, struct, None)
        if make is None:
            continue
        info = make()
        last = function == "nvmlDeviceGetGpuFabricInfo"
        if asker.ask(function, handle, ctypes.byref(info), topic="NVSwitch fabric", quiet=not last) == 0:
            return info
    return None


def _health(mask: int) -> tuple[str, ...]:
    found = [words for shift, width, bad, words in _HEALTH if mask >> shift & (1 << width) - 1 == bad]
    configuration = _CONFIGURATIONS.get(mask >> _CONFIGURATION_SHIFT & _CONFIGURATION_MASK)
    return (*found, *([] if configuration is None else [configuration]))


def read_peers(card: Card, ends: LinkEnds, others: Sequence[Card]) -> tuple[GpuPeer, ...]:
    """Every other GPU as seen from this one."""
    return tuple(_peer(card, ends, other) for other in others if other.index != card.index)


def _peer(card: Card, ends: LinkEnds, other: Card) -> GpuPeer:
    # A question about two cards fails for either of them: a lost peer must not count this card as lost.
    pair = Asker(card.asker.nvml)
    topic = f"peer access to GPU {other.index}"
    status = pair.count("nvmlDeviceGetP2PStatus", card.handle, other.handle, _READ, topic=topic)
    level = pair.count("nvmlDeviceGetTopologyCommonAncestor", card.handle, other.handle, topic=topic)
    n_direct = None if ends.at_address is None or other.address is None else ends.at_address[other.address]
    access = None if status in (None, _UNKNOWN_P2P) else status == 0
    link = _link_kind(pair, (card.handle, other.handle), ends, n_direct, access)
    card.asker.refused += pair.refused if pair.lost is None else [f"{topic}: {pair.lost}"]
    return GpuPeer(
        index=other.index,
        link=link,
        n_links=n_direct or None,
        peer_access=access,
        why_not=None if access is not False or status is None else _P2P.get(status, f"status {status}"),
        distance=None if level is None else _DISTANCES.get(level),
    )


def _link_kind(
    pair: Asker, handles: tuple[Any, Any], ends: LinkEnds, n_direct: int | None, access: bool | None
) -> str | None:
    """The best way between the two that works; the links to a switch do not say which GPUs it joins."""
    if n_direct:
        return "NVLink"
    links = ends.links
    if links is not None and links.n_active and links.to_switch is not False:
        over = pair.count("nvmlDeviceGetP2PStatus", *handles, _OVER_NVLINK, topic="peer access over NVLink")
        if over == 0:
            return "NVSwitch" if links.to_switch else "NVLink"
    return None if access is None else "PCIe"
