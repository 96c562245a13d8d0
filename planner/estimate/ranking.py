"""Which of several answers is the better one: placements of one model, and models of a catalogue."""

from collections.abc import Sequence

from planner.estimate.fit import FitRow
from planner.estimate.placement import Placement
from planner.model.network import Network

MONTHS_UNTIL_OLD = 24


def placement_rank(placement: Placement) -> int:
    """0 where nothing is split between GPU and RAM, 1 with experts in RAM, 2 with layers in RAM, 3 in RAM only."""
    split = placement.split
    has_gpu = any(load.device.is_gpu for load in placement.loads)
    if not has_gpu or (split.n_gpu_layers > placement.n_layers and not split.n_cpu_moe):
        return 0
    if split.n_cpu_moe:
        return 1
    return 2 if split.n_gpu_layers else 3


def catalogue_rank(row: FitRow, released: str | None, newest: str) -> tuple[int, bool, float]:
    """Sorts a catalogue best first: not split, of the last two years, then √(total · active parameters).

    The last is a rule of thumb for what a mixture of experts can do; a model of unknown date counts as recent.
    """
    return placement_rank(row.placement), *model_rank(row.model.network, released, newest)


def model_rank(network: Network, released: str | None, newest: str) -> tuple[bool, float]:
    """Sorts models of the last two years first, then by √(total · active parameters)."""
    parameters = network.parameters
    is_old = released is not None and _months(newest) - _months(released) > MONTHS_UNTIL_OLD
    return is_old, -((parameters.text * parameters.active) ** 0.5)


def headline(rows: Sequence[FitRow]) -> FitRow:
    """The row that an answer is about: the first that fits, else the one that needs least."""
    fitting = [row for row in rows if row.placement.fits]
    return fitting[0] if fitting else min(rows, key=lambda row: row.placement.needed_bytes)


def _months(released: str) -> int:
    """Months since year 0 of a date such as 2025-04 or 2025-04-28."""
    year, _, rest = released.partition("-")
    return int(year) * 12 + int(rest[:2] or 1)
