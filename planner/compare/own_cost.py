"""What a month of one's own machine costs, as far as anybody said."""

from hardware.units import HOURS_PER_MONTH
from planner.prices.machine_cost import energy_usd


def own_cost(
    own_usd_per_month: float | None, power_w: float | None, usd_per_kwh: float | None
) -> tuple[float | None, str]:
    """The cost in US dollars, None when nothing was said, and how it came about in words."""
    if power_w is None or usd_per_kwh is None:
        if own_usd_per_month is None:
            return None, (
                "what this machine costs is unknown: give --own-usd-per-month, and --power with --electricity"
            )
        return own_usd_per_month, "as given, power included"
    energy = float(energy_usd(power_w, HOURS_PER_MONTH, 1.0, usd_per_kwh))  # at the socket, cooling aside
    note = f"{power_w:g} W all month at {usd_per_kwh:g} $/kWh is ${energy:,.2f}"
    if own_usd_per_month is None:
        return energy, f"electricity alone: {note}"
    return own_usd_per_month + energy, f"${own_usd_per_month:,.2f} as given; {note}"
