"""GPUs of other machines, lent over a network by llama.cpp's RPC servers, beside those of one's own."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hardware.errors import DescriptionError
from hardware.interconnect import NetworkLink
from hardware.spec import Machine
from hardware.units import GIGA, MEGA, MICRO, MILLI

_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*(GbE|Gbit/s|Gbit|Mbit/s|Mbit)", re.IGNORECASE)
_LATENCY = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|us|µs)", re.IGNORECASE)
_BITS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class LentMachines:
    """Machines, in words or files, that lend their GPUs, and the network to them."""

    machines: tuple[str, ...]
    network: NetworkLink


def parse_network(text: str) -> NetworkLink:
    """A network in words, "10GbE 0.2ms": its rate in bits per second, and the time that a message and its answer take.

    Raises DescriptionError that shows how to write it.
    """
    words = text.replace(",", " ").strip()
    rate, latency = _RATE.search(words), _LATENCY.search(words)
    rest = _LATENCY.sub("", _RATE.sub("", words)).strip() if rate and latency else "?"
    if rate is None or latency is None or rest or float(rate[1]) <= 0:
        raise DescriptionError(
            f"{text[:60]!r} is no network; give its rate and the time of a round trip, for example '10GbE 0.2ms'"
        )
    per_bit = GIGA if rate[2].casefold().startswith("g") else MEGA
    unit = MILLI if latency[2].casefold() == "ms" else MICRO
    return NetworkLink(bytes_per_s=float(rate[1]) * per_bit / _BITS, round_trip_s=float(latency[1]) * unit)


def with_remote_gpus(machine: Machine, others: Sequence[Machine], link: NetworkLink) -> Machine:
    """A machine with the GPUs of others in front of its own, as llama.cpp lists RPC devices.

    Raises DescriptionError for a machine without a GPU: an RPC server that lends a processor is not modelled.
    """
    lent = []
    for other in others:
        if not other.gpus:
            raise DescriptionError(f"{other.name} has no GPU to lend over RPC; name a machine with one")
        lent += [replace(gpu, network=link) for gpu in other.gpus]
    gpus = tuple(replace(gpu, index=index) for index, gpu in enumerate((*lent, *machine.gpus)))
    names = " and ".join(other.name for other in others)
    return replace(machine, gpus=gpus, name=f"{machine.name} with {names} over RPC")
