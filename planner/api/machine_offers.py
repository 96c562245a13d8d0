"""Machines that can be had: rented ones by the price list, those that a person names, and those of a fleet."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from hardware.accelerators import find_accelerator
from hardware.described import describe_machine, described_machines
from hardware.errors import DescriptionError
from hardware.fleet import Fleet, like_machines, machine_label
from hardware.spec import Machine
from planner.api.machines import fleet_for
from planner.errors import PriceError
from planner.prices.machine_hour import figures_of, machine_hour
from planner.sizing.counts import scaled_interval
from planner.sizing.offer import Deal, Offer
from profiles.loader import purchase_rows, rent_rows

RENTED_SIZES: Final = (1, 2, 4, 8)  # GPUs of a machine


@dataclass(frozen=True, kw_only=True)
class OfferedMachine:
    """An offer with the machine that it is of, or with one of those that a network joins to it."""

    offer: Offer
    machine: Machine


def offered_machines(texts: Sequence[str], have: str | None, deal: Deal) -> tuple[OfferedMachine, ...]:
    """The machines that a question is about: those named, those at hand, or all that have a price."""
    if have is not None:
        fleet = fleet_for(have)
        return fleet_machines(fleet) if fleet is not None else owned_machines(have, described_machines(have))
    return named_machines(texts, deal) if texts else priced_machines(deal)


def priced_machines(deal: Deal) -> tuple[OfferedMachine, ...]:
    """1, 2, 4 and 8 of every accelerator that the price profiles have a price for."""
    rows = purchase_rows() if deal == "buy" else rent_rows()
    kind = {"reserved": "on-demand"}.get(deal, deal)
    ids = dict.fromkeys(row["accelerator_id"] or "" for row in rows if deal == "buy" or row["kind"] == kind)
    found = []
    for accelerator_id in ids:
        accelerator = find_accelerator(accelerator_id)
        if accelerator.vendor.casefold() not in ("nvidia", "amd") or accelerator.unified_memory:
            continue  # the serving engines run on others in forks, whose memory and speed are not modelled
        for n in RENTED_SIZES:
            description = f"{n}x {accelerator.name}" if n > 1 else accelerator.name
            found.append(offered_machine(describe_machine(description), description, deal))
    return tuple(one for one in found if one.offer.usd_per_hour is not None)


def named_machines(texts: Iterable[str], deal: Deal) -> tuple[OfferedMachine, ...]:
    """The machines that a person names, priced where the profiles can; "2x DGX H100" is one offer of two that are joined.

    Raises DescriptionError for one without a GPU.
    """
    found = []
    for text in texts:
        joined = described_machines(text)
        found.append(offered_machine(joined[0], text, deal, n_joined=len(joined)))
    return tuple(found)


def fleet_machines(fleet: Fleet) -> tuple[OfferedMachine, ...]:
    """The kinds of machine of a fleet, with as many as there are of each, which cost nothing more."""
    found = []
    for group in like_machines(fleet):
        if any(gpu.memory_bytes for gpu in group.machine.gpus):
            offered = offered_machine(group.machine, machine_label(group.machine), "owned")
            found.append(replace(offered, offer=replace(offered.offer, n_available=group.count)))
    if not found:
        raise DescriptionError(f"{fleet.source} holds no machine with a GPU whose memory is known")
    return tuple(found)


def owned_machines(text: str, machines: Sequence[Machine]) -> tuple[OfferedMachine, ...]:
    """Like machines in words, "4x p5.48xlarge", as owned ones."""
    offered = offered_machine(machines[0], machines[0].name or text, "owned")
    return (replace(offered, offer=replace(offered.offer, n_available=len(machines))),)


def offered_machine(machine: Machine, description: str, deal: Deal, *, n_joined: int = 1) -> OfferedMachine:
    """A machine, or several that a network joins, as one offer, priced where the profiles can.

    Raises DescriptionError for one that no serving engine runs on.
    """
    gpus = [gpu for gpu in machine.gpus if gpu.memory_bytes is not None]
    if not gpus:
        raise DescriptionError(
            f"{machine.name} has no GPU whose memory is known, so no serving engine runs on it"
        )
    accelerator = gpus[0].accelerator
    usd, power_w = None, None
    if deal == "owned":
        figures = figures_of(machine)
        if "full_power_w" in figures:
            power_w = figures.value("full_power_w", "busy_power_share")
    else:
        try:
            hour = machine_hour(machine, deal)
            usd, power_w = hour.usd, hour.power_w
        except PriceError:
            usd = None
    return OfferedMachine(
        offer=Offer(
            description=description,
            accelerator_id=accelerator.id if accelerator else None,
            accelerator=accelerator.name if accelerator else gpus[0].name,
            n_gpus=len(gpus) * n_joined,
            n_nodes=n_joined,
            usd_per_hour=usd if usd is None else scaled_interval(usd, n_joined),
            deal=deal,
            power_w=None if power_w is None else power_w * n_joined,
        ),
        machine=machine,
    )
