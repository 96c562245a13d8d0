"""What a month of tokens costs through an API, and how many tokens one machine can make in a month.

Formulas are plain arithmetic over a volume, which may be a number or a NumPy array of volumes.
"""

from dataclasses import dataclass

from hardware.units import DAYS_PER_MONTH, HOURS_PER_MONTH, SECONDS_PER_DAY, TOKENS_PER_MTOK
from planner.prices.price import ApiPrice


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Tokens a month, prompts and answers together, and the share of them that is generated."""

    tokens_per_month: float
    output_fraction: float

    def __post_init__(self) -> None:
        if self.tokens_per_month <= 0 or not 0 < self.output_fraction < 1:
            raise ValueError("a workload needs tokens and an output share between 0 and 1")


def api_usd_per_month(price: ApiPrice, tokens_per_month: float, output_fraction: float) -> float:
    """API bill: tokens · ((1 − o) · input price + o · output price); base tier, nothing cached."""
    usd_per_mtok = (
        1 - output_fraction
    ) * price.input_usd_per_mtok + output_fraction * price.output_usd_per_mtok
    return tokens_per_month / TOKENS_PER_MTOK * usd_per_mtok


def seconds_per_token(
    prefill_tokens_per_s: float, decode_tokens_per_s: float, output_fraction: float
) -> float:
    """Time of one token of the mix on a machine that serves one request at a time."""
    return (1 - output_fraction) / prefill_tokens_per_s + output_fraction / decode_tokens_per_s


def capacity_tokens_per_month(
    prefill_tokens_per_s: float, decode_tokens_per_s: float, output_fraction: float
) -> float:
    """Tokens a machine makes in a month if it never rests and serves one request at a time.

    Batching several requests raises it, idle hours lower it.
    """
    month_s = DAYS_PER_MONTH * SECONDS_PER_DAY
    return month_s / seconds_per_token(prefill_tokens_per_s, decode_tokens_per_s, output_fraction)


def energy_usd_per_month(power_w: float, usd_per_kwh: float) -> float:
    """Electricity of a machine that draws this power all month, measured at the socket."""
    return power_w / 1000 * HOURS_PER_MONTH * usd_per_kwh
