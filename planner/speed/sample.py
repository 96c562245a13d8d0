"""One measurement as the fit sees it."""

from dataclasses import dataclass

from planner.speed.factors import Case


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One measured case; `cell` names what repeats of it share, `device` and `source` where it came from."""

    case: Case
    measured_s: float
    cell: str
    device: str
