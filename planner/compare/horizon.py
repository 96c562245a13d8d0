"""Money over the years: what leaves the account in each month, its worth today, and when owning has paid for itself.

The load grows and prices fall month by month. A bought machine is paid when it comes, replaced at the end of its life, and
sold for what it is still worth at the end. Arrays have months first and cases second.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.compare.month_load import at_least, served_tasks, whole
from planner.compare.options import (
    GROWTH,
    TASKS,
    ApiOption,
    OwnOption,
    Scenario,
    api_line,
    busy_hours,
    capacity_per_month,
    existing_hours,
    rates_of,
)
from planner.prices.figure import Figures
from planner.prices.machine_cost import MONTHS_PER_YEAR, machine_cost, residual_fraction, without_purchase

Amounts = Any  # an array of US dollars, months first, cases second


@dataclass(frozen=True, slots=True, kw_only=True)
class CashFlow:
    """What one option takes month by month, in one case: `out_usd` by month, `back_usd` at the end from sales."""

    name: str
    out_usd: tuple[float, ...]
    back_usd: float
    n_units: tuple[int, ...]  # own units in each month
    npv_usd: float  # of all that leaves, less what comes back; a cost

    @property
    def total_usd(self) -> float:
        """Everything paid, less what comes back."""
        return sum(self.out_usd) - self.back_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Flows:
    """The flows of many cases."""

    out_usd: Amounts  # [month, case]
    back_usd: Amounts  # [case]
    n_units: Amounts  # [month, case]

    def npv_usd(self, figures: Figures) -> Amounts:
        """What all payments are worth today, by case: Σ out / (1 + r)^(t / 12) less what comes back at the end."""
        n_months = self.out_usd.shape[0]
        rate = 1 + figures.value("discount_rate_per_year")
        years = np.arange(n_months)[:, None] / MONTHS_PER_YEAR
        return (self.out_usd / rate**years).sum(axis=0) - self.back_usd / rate ** (n_months / MONTHS_PER_YEAR)


def flows(
    scenario: Scenario, own: OwnOption | None, api: ApiOption | None, cover: float | None = None
) -> Flows:
    """The flows of own machines, of an API, or of own machines that cover `cover` times the mean load and an API beyond.

    Without an API the machines cover the busiest hour.
    """
    months = np.arange(scenario.n_months)[:, None]
    base = scenario.figures
    tasks = base.value(TASKS) * (1 + base.value(GROWTH)) ** (months / MONTHS_PER_YEAR)
    if own is None:
        if api is None:
            raise ValueError("a flow needs machines or an API")
        out = _api_out(scenario, api, tasks, months)
        zero = np.zeros(np.shape(out)[1:])
        return Flows(out_usd=out, back_usd=zero, n_units=np.zeros(np.shape(out)))
    figures = base.with_figures(*own.specific.values())
    per_unit = capacity_per_month(own, figures)
    covered = scenario.load.peak_to_average if api is None or cover is None else cover
    needed = at_least(whole(covered * tasks / per_unit), 1)
    stays = own.deal in ("buy", "reserved")
    n_units = np.maximum.accumulate(needed, axis=0) if stays else needed
    served = tasks if api is None else served_tasks(scenario.load, tasks, n_units * per_unit)
    n_machines = n_units * own.machines_per_unit + own.n_spare_machines
    rates = without_purchase(rates_of(own, at_month(own, figures, months)))
    there = existing_hours(own, figures, scenario.load, tasks, n_units)
    running = machine_cost(rates, n_machines, there, busy_hours(own, figures, served))
    out, back = running.usd, 0.0
    if own.deal == "buy":
        paid, back = _purchases(figures, n_machines + 0.0 * np.asarray(out), months)
        out = out + paid
    if api is not None:
        out = out + _api_out(scenario, api, tasks - served, months)
    out = np.asarray(out) + 0.0 * n_machines
    return Flows(
        out_usd=out,
        back_usd=np.broadcast_to(back, np.shape(out)[1:]),
        n_units=np.broadcast_to(n_units, np.shape(out)),
    )


def cash_flow(
    name: str, scenario: Scenario, own: OwnOption | None, api: ApiOption | None, cover: float | None = None
) -> CashFlow:
    """The flow of the expected case."""
    found = flows(scenario, own, api, cover)
    return CashFlow(
        name=name,
        out_usd=tuple(float(usd) for usd in found.out_usd[:, 0]),
        back_usd=float(found.back_usd[0]),
        n_units=tuple(int(n) for n in found.n_units[:, 0]),
        npv_usd=float(found.npv_usd(scenario.figures)[0]),
    )


def paid_back_month(own: CashFlow, api: CashFlow) -> int | None:
    """The first month (from 1) from whose end on owning has cost less in all and stays so; sales at the end aside."""
    behind = np.cumsum(own.out_usd) - np.cumsum(api.out_usd)
    dearer = np.flatnonzero(behind > 0)
    if not len(dearer):
        return 1
    last = int(dearer[-1])
    return None if last == len(behind) - 1 else last + 2


def at_month(own: OwnOption, figures: Figures, months: Any) -> Figures:
    """The figures with rents as they are in each month: those of a term change when the next one starts."""
    if own.deal == "buy":
        return figures
    name = "spot_usd_per_machine_hour" if own.deal == "spot" else "rent_usd_per_machine_hour"
    if own.deal == "reserved":
        term = at_least(figures.value("reserved_term_months"), 1)
        months = months // term * term
    fallen = (1 - figures.value("rent_price_decline_per_year")) ** (months / MONTHS_PER_YEAR)
    return figures.with_values({name: figures.value(name) * fallen})


def _api_out(scenario: Scenario, api: ApiOption, tasks: Amounts, months: Any) -> Amounts:
    figures = scenario.figures.with_figures(*api.specific.values())
    line = api_line(api, figures)
    fallen = (1 - figures.value("api_price_decline_per_year")) ** (months / MONTHS_PER_YEAR)
    return (line.usd(tasks) - line.fixed_usd) * fallen + line.fixed_usd


def _purchases(figures: Figures, n_machines: Amounts, months: Any) -> tuple[Amounts, Amounts]:
    """What is paid for machines in each month, old ones sold when they are replaced, and what all are worth at the end."""
    n_months, n_cases = n_machines.shape
    fallen = (1 - figures.value("hardware_price_decline_per_year")) ** (months / MONTHS_PER_YEAR)
    price = figures.value("machine_usd") * (1 + figures.value("spare_parts_fraction")) * fallen
    price = np.broadcast_to(price, n_machines.shape)
    kept = np.broadcast_to(figures.value("value_kept_per_year"), (n_cases,))
    life = np.maximum(np.rint(np.broadcast_to(figures.value("life_years"), (n_cases,)) * MONTHS_PER_YEAR), 1)
    life = life.astype(int)
    bought = np.diff(n_machines, axis=0, prepend=0.0)  # more than before
    paid = np.zeros_like(n_machines)
    cases = np.arange(n_cases)
    for month in range(n_months):
        came = month - life
        replaced = (came >= 0) * bought[np.maximum(came, 0), cases]
        sold = replaced * price[np.maximum(came, 0), cases] * residual_fraction(kept, life / MONTHS_PER_YEAR)
        bought[month] = bought[month] + replaced
        paid[month] = bought[month] * price[month] - sold
    age = n_months - np.arange(n_months)[:, None]
    in_use = age <= life  # older ones were replaced
    worth = bought * price * residual_fraction(kept, age / MONTHS_PER_YEAR)
    return paid, (worth * in_use).sum(axis=0)
