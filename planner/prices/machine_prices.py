"""What a whole machine is rented and bought for, and what it draws: from the prices of its accelerators.

A figure that nobody published is left out, and asking for it says how to state it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from hardware.spec import Basis, Machine
from planner.prices.figure import Figure, Figures
from planner.prices.rent import PurchasePrice, RentPrice, purchase_prices, rent_prices

# Figures of a machine that a person may state, whether the profiles know them or not.
MACHINE_UNITS = {
    "machine_usd": "USD",
    "full_power_w": "W",
    "rent_usd_per_machine_hour": "USD per hour",
    "spot_usd_per_machine_hour": "USD per hour",
}
_MOST_IN_A_DESKTOP = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerators:
    """The accelerators of one machine: which, how many, and the power limit of one."""

    accelerator_id: str
    name: str
    n: int
    power_w: float | None


def accelerators_of(machine: Machine) -> Accelerators | None:
    """The accelerators that a machine's price follows; None without any, or with several kinds."""
    known = {gpu.accelerator.id: gpu for gpu in machine.gpus if gpu.accelerator is not None}
    if len(known) != 1 or any(gpu.accelerator is None for gpu in machine.gpus):
        return None
    accelerator = next(iter(known.values())).accelerator
    if accelerator is None:
        return None
    return Accelerators(
        accelerator_id=accelerator.id,
        name=accelerator.name,
        n=len(machine.gpus),
        power_w=accelerator.power_w,
    )


def machine_figures(accelerators: Accelerators, assumed: Figures) -> Figures:
    """The assumptions with this machine's rents, price and power, as far as they are known."""
    n = accelerators.n
    found = []
    for name, kind in (("rent_usd_per_machine_hour", "on-demand"), ("spot_usd_per_machine_hour", "spot")):
        rents = rent_prices(accelerators.accelerator_id, kind)
        if rents:
            found.append(_rent(name, rents, n))
    purchase = _purchase(purchase_prices(accelerators.accelerator_id), n, assumed)
    if purchase is not None:
        found.append(purchase)
    if accelerators.power_w is not None:
        beside = "desktop_over_board_power" if n <= _MOST_IN_A_DESKTOP else "machine_over_board_power"
        found.append(_full_power(accelerators, accelerators.power_w, assumed[beside]))
    return assumed.with_figures(*found)


def _rent(name: str, rents: Sequence[RentPrice], n: int) -> Figure:
    """The middle of what is asked, between the cheapest and the dearest."""
    asked = sorted(usd for rent in rents for usd in (rent.usd_per_gpu_hour_low, rent.usd_per_gpu_hour_high))
    dates = [rent.as_of for rent in rents if rent.as_of]
    return Figure(
        name=name,
        value=n * _middle(asked),
        unit=MACHINE_UNITS[name],
        basis=Basis.VENDOR,
        source=f"{n} x {_asked(asked)} an hour of one at {', '.join(dict.fromkeys(rent.provider for rent in rents))}",
        as_of=max(dates, default=None),
        low=n * asked[0],
        high=n * asked[-1],
        note="; ".join(dict.fromkeys(rent.source for rent in rents)),
    )


def _purchase(prices: Sequence[PurchasePrice], n: int, assumed: Figures) -> Figure | None:
    """Of accelerators and the machine around them, or of the machine that they only come in; new before used."""
    chosen = _current(prices)
    if not chosen:
        return None
    asked = sorted(usd for price in chosen for usd in (price.usd_low, price.usd_high))
    whole = chosen[0].unit == "machine"
    if whole and n != 1:
        return None  # several machines at once: each is a machine of its own
    around = assumed["chassis_over_accelerator_price"]
    factors = (1.0, 1.0, 1.0) if whole else (around.low or 1.0, around.value, around.high or around.value)
    beside = "" if whole else f", times {around.value:g} for the machine around them"
    return Figure(
        name="machine_usd",
        value=n * _middle(asked) * factors[1],
        unit=MACHINE_UNITS["machine_usd"],
        basis=Basis.VENDOR if whole and chosen[0].kind == "list" else Basis.ASSUMED,
        source=f"{n} x {_asked(asked)} ({chosen[0].kind}){beside}",
        as_of=max((price.as_of for price in chosen if price.as_of), default=None),
        low=n * asked[0] * factors[0],
        high=n * asked[-1] * factors[2],
        note="; ".join(dict.fromkeys(price.source for price in chosen)),
    )


def _current(prices: Sequence[PurchasePrice]) -> tuple[PurchasePrice, ...]:
    """Those to reckon with, of which the newest is the first: a list price replaces older ones; used where nothing else is known."""
    new = [price for price in prices if price.kind in ("new", "estimate")]
    if new:
        year = (new[0].as_of or "")[:4]
        return tuple(price for price in new if (price.as_of or "")[:4] == year)
    listed = [price for price in prices if price.kind == "list"]
    return tuple(listed[:1]) or tuple(prices)


def _full_power(accelerators: Accelerators, power_w: float, beside: Figure) -> Figure:
    boards = accelerators.n * power_w
    return Figure(
        name="full_power_w",
        value=boards * beside.value,
        unit=MACHINE_UNITS["full_power_w"],
        basis=Basis.DERIVED,
        source=f"{accelerators.n} x {power_w:g} W, times {beside.value:g} ({beside.source})",
        as_of=beside.as_of,
        low=boards * (beside.low or 1.0),
        high=boards * (beside.high or beside.value),
    )


def _middle(ordered: Sequence[float]) -> float:
    """The median; between two, their geometric mean."""
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else sqrt(ordered[half - 1] * ordered[half])


def _asked(ordered: Sequence[float]) -> str:
    if ordered[0] == ordered[-1]:
        return f"{ordered[0]:,g}"
    middle = _middle(ordered)
    shown = f"{middle:,.0f}" if middle >= 100 else f"{middle:.2f}"
    return f"{shown}, the middle of {ordered[0]:,g} to {ordered[-1]:,g}"
