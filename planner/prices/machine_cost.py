"""What machines of one's own cost: rented on demand, reserved or spot, or bought; with power, room, people and the rest.

Costs come in four kinds: for having the service at all (people), for each machine kept, for each hour that a machine
exists (rent, waiting power), and for each hour in which it works (the power that work adds). A month of any number of machines
is the sum of them, and every part is a term with its source.

All formulas are plain arithmetic over numbers or NumPy arrays.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from hardware.spec import Basis, weakest
from hardware.units import HOURS_PER_MONTH, KB
from planner.estimate.term import Term, total
from planner.prices.figure import Figure, Figures

Deal = Literal["on-demand", "reserved", "spot", "buy"]
Site = Literal["cloud", "colocation", "own room", "office"]
MONTHS_PER_YEAR = 12
PAID_AT_PURCHASE = (
    "loss of value",
    "financing",
)  # terms of a month's account that no bill of that month shows


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRates:
    """What a service of one kind of machine costs, by what it depends on. Terms are US dollars."""

    per_month: tuple[Term, ...]  # whatever the number of machines
    per_machine_month: tuple[Term, ...]  # for each machine kept
    per_existing_hour: tuple[Term, ...]  # for each hour that a machine exists
    per_busy_hour: tuple[Term, ...]  # for each hour of a machine's work

    @property
    def fixed_usd(self) -> Any:
        """Of a month, whatever the number of machines."""
        return total(self.per_month)

    @property
    def machine_usd(self) -> Any:
        """Of a machine that is there all month and does nothing."""
        return total(self.per_machine_month) + total(self.per_existing_hour) * HOURS_PER_MONTH

    @property
    def machine_hour_usd(self) -> Any:
        """An hour of a machine that is there all month and does nothing."""
        return self.machine_usd / HOURS_PER_MONTH

    @property
    def busy_hour_usd(self) -> Any:
        """What an hour of work adds."""
        return total(self.per_busy_hour)


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineCost:
    """A month of some machines: the terms, and the hours that they are for."""

    terms: tuple[Term, ...]
    existing_hours: float
    busy_hours: float

    @property
    def usd(self) -> Any:
        """Of the month: the sum of the terms."""
        return total(self.terms)

    @property
    def usd_per_existing_hour(self) -> float | None:
        """Of one machine for one hour of being there; None when none is."""
        return self.usd / self.existing_hours if self.existing_hours else None

    @property
    def usd_per_busy_hour(self) -> float | None:
        """Of one machine for one hour of work; None when none works."""
        return self.usd / self.busy_hours if self.busy_hours else None


def without_purchase(rates: CostRates) -> CostRates:
    """The rates of what is paid month by month, for a cash flow that has the purchase itself in it."""
    kept = tuple(term for term in rates.per_machine_month if term.name not in PAID_AT_PURCHASE)
    return replace(rates, per_machine_month=kept)


def annuity_usd_per_month(price_usd: Any, residual_usd: Any, rate_per_year: Any, n_months: Any) -> Any:
    """The even payment that covers a price and its interest, less what is left of it at the end.

    (P − R / (1 + i)ⁿ) · i / (1 − (1 + i)⁻ⁿ), with i = rate / 12; (P − R) / n without interest.
    """
    without = rate_per_year == 0
    rate = rate_per_year / MONTHS_PER_YEAR + without  # any rate will do where it does not count
    discount = (1 + rate) ** -n_months
    with_interest = (price_usd - residual_usd * discount) * rate / (1 - discount)
    return (1 - without) * with_interest + without * (price_usd - residual_usd) / n_months


def residual_fraction(kept_per_year: Any, years: Any) -> Any:
    """What a machine is still worth after some years, as a fraction of its price: kept ^ years."""
    return kept_per_year**years


def energy_usd(power_w: Any, hours: Any, pue: Any, usd_per_kwh: Any) -> Any:
    """Electricity of a machine that draws this power at the socket, with the share of its site: P · h · PUE · price."""
    return power_w / KB * hours * pue * usd_per_kwh


def cost_rates(figures: Figures, deal: Deal, site: Site) -> CostRates:
    """The rates of one kind of machine.

    Rented machines need `rent_usd_per_machine_hour` (on demand; the discount of a term is taken off here), bought ones
    `machine_usd` and `full_power_w`; the rest comes from the assumptions.
    """
    bought = deal == "buy"
    return CostRates(
        per_month=(
            _term("people: operations", figures, "operations_hours_per_month", "operations_usd_per_hour"),
        ),
        per_machine_month=(
            *(_ownership(figures) if bought else ()),
            *(_colocation(figures) if bought and site == "colocation" else ()),
            *(
                (_term("network", figures, "network_usd_per_machine_month"),)
                if site in ("cloud", "colocation")
                else ()
            ),
            *(
                ()
                if bought
                else (_term("storage", figures, "storage_gb_per_machine", "storage_usd_per_gb_month"),)
            ),
            _term("licences", figures, "licence_usd_per_machine_month"),
            _term(
                "people: each machine",
                figures,
                "operations_hours_per_machine_month",
                "operations_usd_per_hour",
            ),
        ),
        per_existing_hour=(
            (_power("power: waiting", figures, site, figures.value("idle_power_share"), "idle_power_share"),)
            if bought
            else (_rent(figures, deal),)
        ),
        per_busy_hour=(
            (
                _power(
                    "power: working",
                    figures,
                    site,
                    figures.value("busy_power_share") - figures.value("idle_power_share"),
                    "busy_power_share",
                ),
            )
            if bought
            else ()
        ),
    )


def machine_cost(rates: CostRates, n_machines: Any, existing_hours: Any, busy_hours: Any) -> MachineCost:
    """A month of `n_machines`, which together exist and work for so many hours (all month: n · 730.5)."""
    return MachineCost(
        terms=(
            *rates.per_month,
            *scaled(rates.per_machine_month, n_machines),
            *scaled(rates.per_existing_hour, existing_hours),
            *scaled(rates.per_busy_hour, busy_hours),
        ),
        existing_hours=existing_hours,
        busy_hours=busy_hours,
    )


def scaled(terms: Iterable[Term], factor: Any) -> tuple[Term, ...]:
    """Terms of so many of a thing."""
    return tuple(replace(term, value=term.value * factor) for term in terms)


def to_the_cent(terms: Iterable[Term]) -> tuple[Term, ...]:
    """Terms in whole cents whose sum is the sum in whole cents: the largest remainders are rounded up."""
    found = tuple(terms)
    cents = [term.value * 100 for term in found]
    floors = [value // 1 for value in cents]
    missing = round(sum(cents)) - round(sum(floors))
    order = sorted(range(len(found)), key=lambda index: floors[index] - cents[index])
    up = set(order[:missing])
    return tuple(
        replace(term, value=(floors[index] + (index in up)) / 100) for index, term in enumerate(found)
    )


def _rent(figures: Figures, deal: Deal) -> Term:
    """An hour of a rented machine."""
    names = ["rent_usd_per_machine_hour"]
    usd = figures.value("rent_usd_per_machine_hour")
    if deal == "reserved":
        names.append("reserved_discount_fraction")
        usd = usd * (1 - figures.value("reserved_discount_fraction"))
    if deal == "spot":
        names = ["spot_usd_per_machine_hour"]
        usd = figures.value("spot_usd_per_machine_hour")
    return _of(f"rent, {deal}", usd, [figures[name] for name in names])


def _ownership(figures: Figures) -> tuple[Term, ...]:
    """A month of a bought machine, its spare parts bought along: loss of value, interest, maintenance."""
    price = figures.value("machine_usd") * (1 + figures.value("spare_parts_fraction"))
    years = figures.value("life_years")
    residual = price * residual_fraction(figures.value("value_kept_per_year"), years)
    n_months = years * MONTHS_PER_YEAR
    loss = (price - residual) / n_months
    paid = annuity_usd_per_month(price, residual, figures.value("financing_rate_per_year"), n_months)
    bought = [
        figures[name] for name in ("machine_usd", "spare_parts_fraction", "life_years", "value_kept_per_year")
    ]
    upkeep = figures.value("machine_usd", "maintenance_fraction_per_year") / MONTHS_PER_YEAR
    return (
        _of("loss of value", loss, bought),
        _of("financing", paid - loss, [*bought, figures["financing_rate_per_year"]]),
        _of("maintenance", upkeep, [figures["machine_usd"], figures["maintenance_fraction_per_year"]]),
    )


def _colocation(figures: Figures) -> tuple[Term, ...]:
    kilowatts = figures.value("full_power_w") / KB
    usd = kilowatts * figures.value("colocation_usd_per_kw_month")
    return (_of("colocation", usd, [figures["full_power_w"], figures["colocation_usd_per_kw_month"]]),)


def _power(name: str, figures: Figures, site: Site, share: Any, share_name: str) -> Term:
    """An hour of a machine that draws a share of its full power. An office cools nothing extra."""
    pue_name = {"colocation": "colocation_pue", "own room": "pue"}.get(site)
    pue = 1.0 if pue_name is None else figures.value(pue_name)
    watts = figures.value("full_power_w") * share
    usd = energy_usd(watts, 1.0, pue, figures.value("electricity_usd_per_kwh"))
    names = ["full_power_w", share_name, "electricity_usd_per_kwh", *([pue_name] if pue_name else [])]
    return _of(name, usd, [figures[name] for name in names])


def _term(name: str, figures: Figures, *names: str) -> Term:
    """A product of figures as a term."""
    return _of(name, figures.value(*names), [figures[known] for known in names])


def _of(name: str, usd: Any, figures: Iterable[Figure]) -> Term:
    """A term with the bases, sources and dates of the figures that it was worked out from."""
    found = list(figures)
    dates = sorted({figure.as_of for figure in found if figure.as_of})
    return Term(
        name=name,
        value=usd,
        unit="USD",
        basis=weakest(*(figure.basis for figure in found)) if found else Basis.DERIVED,
        source="; ".join(f"{figure.name}: {figure.source}" for figure in found),
        as_of=dates[0] if dates else None,
    )
