"""What an hour of one machine costs, all in, with an interval: the figure that a search for machines compares by."""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import Any

from hardware.spec import Machine, weakest
from planner.errors import PriceError
from planner.estimate.term import Interval
from planner.prices.figure import Figure, Figures, assumed_figures
from planner.prices.machine_cost import CostRates, Deal, Site, cost_rates
from planner.prices.machine_prices import accelerators_of, machine_figures


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineHour:
    """One machine that is there all month and works all the time, people beside; `power_w` is None where unknown."""

    usd: Interval
    power_w: float | None  # while it serves


def machine_hour(
    machine: Machine, deal: Deal = "on-demand", site: Site = "colocation", assumed: Figures | None = None
) -> MachineHour:
    """An hour of a described machine: its rent, or what owning it comes to. People and network are not in it.

    Raises PriceError where nobody published a price.
    """
    figures = figures_of(machine, assumed)
    site = site if deal == "buy" else "cloud"

    def hour(found: Figures) -> Any:
        return bare_hour_usd(cost_rates(found, deal, site))

    return MachineHour(
        usd=interval_of(hour, figures, f"{deal}: {_main(figures, deal).source}"),
        power_w=figures.value("full_power_w", "busy_power_share") if "full_power_w" in figures else None,
    )


def figures_of(machine: Machine, assumed: Figures | None = None) -> Figures:
    """Everything known of a machine's costs: of its accelerators, where they are of one known kind."""
    known = assumed if assumed is not None else assumed_figures()
    accelerators = accelerators_of(machine)
    return known if accelerators is None else machine_figures(accelerators, known)


def bare_hour_usd(rates: CostRates) -> Any:
    """An hour of a machine that is there all month and always works, without people, network, storage and licences."""
    bare = CostRates(
        per_month=(),
        per_machine_month=tuple(
            term
            for term in rates.per_machine_month
            if term.name in ("loss of value", "financing", "maintenance", "colocation")
        ),
        per_existing_hour=rates.per_existing_hour,
        per_busy_hour=(),
    )
    return bare.machine_hour_usd + rates.busy_hour_usd


def interval_of(formula: Callable[[Figures], Any], figures: Figures, source: str) -> Interval:
    """A formula's value with bounds: each uncertain figure moved alone to either of its bounds, the moves added in squares."""
    expected = float(formula(figures))
    below = above = 0.0
    bases = []
    for figure in figures.values():
        if not figure.is_uncertain:
            continue
        moves = [float(formula(figures.with_values({figure.name: end}))) - expected for end in _ends(figure)]
        if any(moves):
            bases.append(figure.basis)
        below += min(0.0, *moves) ** 2
        above += max(0.0, *moves) ** 2
    return Interval(
        low=max(expected - sqrt(below), expected / 10),
        expected=expected,
        high=expected + sqrt(above),
        basis=weakest(*bases),
        source=source,
    )


def _ends(figure: Figure) -> tuple[float, float]:
    if figure.low is None or figure.high is None:
        raise ValueError(f"{figure.name} has no bounds")
    return figure.low, figure.high


def _main(figures: Figures, deal: Deal) -> Figure:
    name = {"buy": "machine_usd", "spot": "spot_usd_per_machine_hour"}.get(deal, "rent_usd_per_machine_hour")
    figure = figures[name]
    if figure.value <= 0:
        raise PriceError(f"{name} is {figure.value:g}; state a price above 0 with --set {name}=VALUE")
    return figure
