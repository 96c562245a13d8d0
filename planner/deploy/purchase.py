"""What has to be bought and prepared for so many machines: cards, switch ports, rack units, power, circuits.

Counts follow from facts about the machine; where a fact is missing, the line says which and has no count.
"""

import math
from dataclasses import dataclass
from typing import Final

from hardware.spec import Basis

_NOT_SAID: Final = "nobody said"
_CONTINUOUS_SHARE: Final = (
    0.8  # of a breaker's rating, for loads of three hours and more: NEC 210.20(A), 215.3
)
_THREE_PHASES: Final = 3
_RACK_UNITS: Final = 42
_SWITCH_PORTS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """One feed to a rack."""

    volts: float
    amperes: float
    phases: int = 1

    def __post_init__(self) -> None:
        if self.volts <= 0 or self.amperes <= 0 or self.phases not in (1, _THREE_PHASES):
            raise ValueError("a circuit has volts, amperes, and one phase or three")

    @property
    def usable_w(self) -> float:
        """What it carries all day: 0.8 · V · A, times √3 for three phases (volts between them)."""
        return _CONTINUOUS_SHARE * self.volts * self.amperes * math.sqrt(self.phases)

    def __str__(self) -> str:
        return f"{self.phases}-phase {self.volts:g} V {self.amperes:g} A"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What a room offers, and what its owner wants; all of it can be replaced."""

    circuit: Circuit = Circuit(volts=208, amperes=60, phases=3)
    feeds: int = 2  # each able to carry all of it: a rack survives the loss of one
    rack_units: int = _RACK_UNITS
    rack_power_w: float | None = None  # what a rack may draw and be cooled for
    switch_ports: int = _SWITCH_PORTS
    lead_weeks: float | None = None  # as a supplier said


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFacts:
    """What is known of one machine; None where nobody said."""

    name: str
    n_gpus: int
    n_nics: int | None
    nic_gbit_per_s: float | None
    rack_units: int | None
    max_power_w: float | None
    basis: Basis  # of rack units and power
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseLine:
    """One thing to buy or prepare; `n` is None where it cannot be counted."""

    name: str
    n: float | None
    unit: str
    basis: Basis
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchasePlan:
    """All lines for one kind of machine."""

    machine: str
    n_machines: int
    lines: tuple[PurchaseLine, ...]

    @property
    def unknown(self) -> tuple[PurchaseLine, ...]:
        """What could not be counted."""
        return tuple(line for line in self.lines if line.n is None)


def fabric_switches(n_ports: int, switch_ports: int) -> tuple[int, int]:
    """Leaf and spine switches of a network without bottleneck for so many ports.

    One switch carries up to its own ports. Beyond, half of each leaf's ports go up: leaves = ⌈2p/r⌉, spines =
    ⌈leaves · (r/2) / r⌉, up to r²/2 ports (Al-Fares et al. 2008, a folded Clos network of two levels). Raises
    ValueError beyond: a third level is a design of its own.
    """
    if n_ports <= switch_ports:
        return (1 if n_ports else 0), 0
    if n_ports > switch_ports**2 // 2:
        raise ValueError(
            f"{n_ports} ports are more than the {switch_ports**2 // 2} that two levels of {switch_ports}-port switches carry"
        )
    up = switch_ports // 2
    leaves = -(-n_ports // up)
    return leaves, -(-leaves * up // switch_ports)


def purchase_plan(
    machine: MachineFacts, n_machines: int, site: Site, *, spans_machines: bool
) -> PurchasePlan:
    """Everything for so many machines. Without a replica that spans them, only one network port each is needed."""
    if n_machines < 1:
        raise ValueError("a plan is for at least one machine")
    lines = [
        _line("machines", n_machines, "", "spares included"),
        _line("GPUs", n_machines * machine.n_gpus, "", f"{machine.n_gpus} in each"),
    ]
    lines += _network(machine, n_machines, site) if spans_machines else []
    lines.append(
        _line("ports for users and storage", 2 * n_machines, "ports", "two in each, on two switches", Basis.ASSUMED)
    )  # fmt: skip
    lines.append(_line("ports for management", n_machines, "ports", "one in each", Basis.ASSUMED))
    lines += _room(machine, n_machines, site)
    if site.lead_weeks is None:
        lines.append(
            _unknown("lead time", "weeks", f"{_NOT_SAID}: ask the supplier and give it with --lead-weeks")
        )
    else:
        lines.append(_line("lead time", site.lead_weeks, "weeks", "as given", Basis.ASSUMED))
    return PurchasePlan(machine=machine.name, n_machines=n_machines, lines=tuple(lines))


def _network(machine: MachineFacts, n_machines: int, site: Site) -> list[PurchaseLine]:
    if machine.n_nics is None:
        why = f"{_NOT_SAID} how many network cards a {machine.name} has for traffic between GPUs"
        return [_unknown("network cards between GPUs", "", why), _unknown("leaf switches", "", why)]
    n_ports = machine.n_nics * n_machines
    speed = "" if machine.nic_gbit_per_s is None else f" of {machine.nic_gbit_per_s:g} Gbit/s"
    cards = _line("network cards between GPUs", n_ports, "ports", f"{machine.n_nics}{speed} in each")
    try:
        leaves, spines = fabric_switches(n_ports, site.switch_ports)
    except ValueError as error:
        return [cards, _unknown("leaf switches", "", str(error))]
    how = f"{site.switch_ports} ports each, no bottleneck between machines"
    found = [cards, _line("leaf switches", leaves, "", how)]
    return [*found, _line("spine switches", spines, "", how)] if spines else found


def _room(machine: MachineFacts, n_machines: int, site: Site) -> list[PurchaseLine]:
    lines = []
    if machine.rack_units is None:
        lines.append(_unknown("rack units", "U", f"{_NOT_SAID} how tall a {machine.name} is"))
    else:
        n = machine.rack_units * n_machines
        lines.append(
            _line("rack units", n, "U", f"{machine.rack_units} each; {machine.source}", machine.basis)
        )
    if machine.max_power_w is None:
        why = f"{_NOT_SAID} what a {machine.name} draws at most"
        return [*lines, *(_unknown(*named, why) for named in (("power", "kW"), ("circuits", "")))]
    power_w = machine.max_power_w * n_machines
    lines.append(
        _line("power", power_w / 1000, "kW", f"{machine.max_power_w / 1000:g} kW each at most, without cooling; {machine.source}", machine.basis)
    )  # fmt: skip
    per_rack = _machines_per_rack(machine, site)
    if not per_rack:
        lines.append(_unknown("racks", "", f"one {machine.name} is more than a rack holds or may draw"))
        racks = float(n_machines)
        in_rack = 1
    else:
        racks = math.ceil(n_machines / per_rack)
        in_rack = min(per_rack, n_machines)
        lines.append(_line("racks", racks, "", f"{per_rack} machines in each", machine.basis))
    each = math.ceil(machine.max_power_w * in_rack / site.circuit.usable_w)
    lines.append(
        _line(
            "circuits", racks * each * site.feeds, "",
            f"{each} of {site.circuit} ({site.circuit.usable_w / 1000:.1f} kW all day) for a rack's {machine.max_power_w * in_rack / 1000:g} kW, "
            f"{site.feeds} times over",
            machine.basis,
        )
    )  # fmt: skip
    return lines


def _machines_per_rack(machine: MachineFacts, site: Site) -> int:
    bounds = []
    if machine.rack_units is not None:
        bounds.append(site.rack_units // machine.rack_units)
    if site.rack_power_w is not None and machine.max_power_w is not None:
        bounds.append(int(site.rack_power_w // machine.max_power_w))
    return min(bounds, default=1)


def _line(name: str, n: float, unit: str, how: str, basis: Basis = Basis.DERIVED) -> PurchaseLine:
    return PurchaseLine(name=name, n=n, unit=unit, basis=basis, how=how)


def _unknown(name: str, unit: str, how: str) -> PurchaseLine:
    return PurchaseLine(name=name, n=None, unit=unit, basis=Basis.ASSUMED, how=how)
