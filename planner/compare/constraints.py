"""What must not be: options that send data where it may not go, or cost more at once than there is, are left out by name."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeVar

from planner.compare.options import ApiOption, OwnOption
from planner.prices.figure import Figures

# Where prompts may be worked on: on bought machines alone, on rented ones too, or at an API as well.
Custody = Literal["bought", "rented", "anywhere"]
O = TypeVar("O", OwnOption, ApiOption)  # noqa: E741


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """Hard conditions. `regions` are where data may be worked on; empty: anywhere."""

    custody: Custody = "anywhere"
    regions: tuple[str, ...] = ()
    most_upfront_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Excluded:
    """An option that was left out, and which condition it breaks."""

    name: str
    reason: str


def own_reason(option: OwnOption, constraints: Constraints, figures: Figures, n_machines: int) -> str | None:
    """Why machines are not allowed; None where they are."""
    if constraints.custody == "bought" and option.deal != "buy":
        return "prompts would be worked on in somebody else's machines, and data is to stay on bought ones"
    upfront = n_machines * figures.value("machine_usd") if option.deal == "buy" else 0.0
    limit = constraints.most_upfront_usd
    if limit is not None and upfront > limit:
        return f"{n_machines} machines cost ${upfront:,.0f} at once, over the limit of ${limit:,.0f}"
    return None


def api_reason(option: ApiOption, constraints: Constraints) -> str | None:
    """Why an API is not allowed; None where it is."""
    if constraints.custody != "anywhere":
        return f"prompts would be sent to {option.provider}, and data is to stay on {constraints.custody} machines"
    if constraints.regions and option.region is None:
        return f"where {option.provider} works on prompts is not known, and data is to stay in {_listed(constraints.regions)}"
    if constraints.regions and option.region not in constraints.regions:
        return f"{option.provider} works on prompts in {option.region}, and data is to stay in {_listed(constraints.regions)}"
    return None


def sorted_out(options: Iterable[tuple[O, str | None]]) -> tuple[tuple[O, ...], tuple[Excluded, ...]]:
    """The options that are allowed, and those that are not with their reasons."""
    found = list(options)
    allowed = tuple(option for option, reason in found if reason is None)
    excluded = tuple(
        Excluded(name=option.name, reason=reason) for option, reason in found if reason is not None
    )
    return allowed, excluded


def _listed(regions: tuple[str, ...]) -> str:
    return " or ".join(regions)
