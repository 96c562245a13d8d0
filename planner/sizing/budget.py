"""Money per time as people write it: "10000$/month", "$4.50/h", "120k$/year"."""

import re
from typing import Final

from hardware.units import DAYS_PER_MONTH, HOURS_PER_MONTH, MILLI

_FORM: Final = re.compile(
    r"(?:\$\s*(?P<before>\d[\d,]*(?:\.\d+)?)\s*(?P<k_before>k)?|(?P<after>\d[\d,]*(?:\.\d+)?)\s*(?P<k_after>k)?\s*(?:\$|usd))"
    r"\s*(?:/|per|a|an)\s*(?P<time>h|hour|day|month|year)",
    re.IGNORECASE,
)
_PER_MONTH: Final = {
    "h": HOURS_PER_MONTH, "hour": HOURS_PER_MONTH, "day": DAYS_PER_MONTH, "month": 1.0, "year": 1 / 12,
}  # fmt: skip


def parse_budget(text: str) -> float:
    """Dollars a month; raises ValueError, one line, for an amount without its currency or its time."""
    match = _FORM.fullmatch(text.strip())
    amount = 0.0
    if match is not None:
        amount = float((match["before"] or match["after"]).replace(",", ""))
        amount *= 1 / MILLI if match["k_before"] or match["k_after"] else 1.0
        amount *= _PER_MONTH[match["time"].lower()]
    if amount <= 0:
        raise ValueError(f'{text[:40]!r} is no budget; write "10000$/month", "$15/h" or "120k$/year"')
    return amount
