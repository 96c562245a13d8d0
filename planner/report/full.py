"""The whole report of one model on one machine: the record that every report format shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from hardware.spec import Machine
from hardware.units import TOKENS_PER_MTOK
from planner.compare.api_task import task_terms
from planner.estimate.fit import FitRow
from planner.estimate.measurement import BenchRun
from planner.estimate.speed import SpeedEstimate
from planner.estimate.term import total
from planner.model.opened_model import OpenedModel
from planner.prices.price import ApiPrice
from planner.workload.totals import expected_task, month_tokens
from planner.workload.workload import Workload


@dataclass(frozen=True, kw_only=True)
class PricedApi:
    """One API price and what the workload costs with it."""

    price: ApiPrice
    usd_per_mtok: float  # of the workload's tokens, prompts and answers together
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
    expected: Mapping[str, SpeedEstimate] = field(default_factory=dict)  # like `before`, of the run's tests

    @property
    def tokens_per_month(self) -> float:
        """Prompts and answers together."""
        return month_tokens(self.workload).all

    @property
    def output_fraction(self) -> float:
        """The share of the tokens that is generated."""
        tokens = expected_task(self.workload).tokens
        return tokens.generated / tokens.all


def priced_api(price: ApiPrice, workload: Workload, at: datetime) -> PricedApi:
    """What a workload costs at an API, at the prices of a moment."""
    usd_per_task = total(task_terms(price, workload, at)[0])
    usd_per_mtok = usd_per_task / expected_task(workload).tokens.all * TOKENS_PER_MTOK
    return PricedApi(
        price=price,
        usd_per_mtok=usd_per_mtok,
        usd_per_month=usd_per_mtok * month_tokens(workload).all / TOKENS_PER_MTOK,
    )
