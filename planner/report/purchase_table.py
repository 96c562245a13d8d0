"""What has to be bought for a plan, as a table and as data."""

from typing import Any

from planner.deploy.purchase import PurchaseLine, PurchasePlan
from planner.report.document import Table


def purchase_table(plan: PurchasePlan) -> Table:
    """One line for each thing, with how it was counted; a dash for what could not be."""
    return Table(
        title=f"To buy and prepare for {plan.n_machines} x {plan.machine}",
        headers=("what", "n", "how it was counted"),
        rows=tuple((line.name, _count(line), f"{line.basis}: {line.how}") for line in plan.lines),
        right=(1,),
    )


def purchase_data(plan: PurchasePlan) -> dict[str, Any]:
    """The same for `--format json`."""
    return {
        "machine": plan.machine,
        "n_machines": plan.n_machines,
        "lines": [
            {"name": line.name, "n": line.n, "unit": line.unit, "basis": str(line.basis), "how": line.how}
            for line in plan.lines
        ],
    }


def _count(line: PurchaseLine) -> str:
    return "–" if line.n is None else f"{line.n:,g} {line.unit}".strip()
