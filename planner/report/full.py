"""The whole report of one model on one machine: the record that every report format shows."""

from dataclasses import dataclass

from hardware.spec import Machine
from planner.compare.monthly import Workload
from planner.estimate.fit import FitRow
from planner.estimate.measurement import BenchRun
from planner.model.opened_model import OpenedModel
from planner.prices.price import ApiPrice


@dataclass(frozen=True, kw_only=True)
class PricedApi:
    """One API price and what the workload costs with it."""

    price: ApiPrice
    usd_per_month: float


@dataclass(frozen=True, kw_only=True)
class FullReport:
    """Everything the report says. `before` are estimates made without any benchmark of this machine."""

    made_at: str  # ISO 8601, UTC
    planner_version: str
    machine: Machine
    opened: OpenedModel
    before: FitRow  # the estimate that nothing measured here has touched
    rows: tuple[FitRow, ...]  # contexts, with what the benchmark taught
    run: BenchRun | None  # None for a machine that is only described
    workload: Workload
    capacity_tokens_per_month: float | None
    own_usd_per_month: float | None  # None: nobody said what the machine costs
    own_cost_note: str
    apis: tuple[PricedApi, ...]  # cheapest first
    notes: tuple[str, ...] = ()
