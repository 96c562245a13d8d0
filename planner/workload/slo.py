"""Service objectives as people write them: "ttft p95<1s, tpot p95<40ms"."""

import re
from typing import Final, get_args

from hardware.units import MILLI
from planner.workload.workload import Measure, Objective

_FORM: Final = re.compile(
    r"(?P<measure>[a-z0-9]{1,12})\s+p(?P<percent>\d{1,2}(?:\.\d{1,4})?)\s*<=?\s*"
    r"(?P<limit>\d{1,9}(?:\.\d{1,9})?)\s*(?P<unit>ms|s|min)"
)
_SECONDS: Final = {"ms": MILLI, "s": 1.0, "min": 60.0}
_EXAMPLE: Final = '"ttft p95<1s, tpot p95<40ms"'


def parse_slo(text: str) -> tuple[Objective, ...]:
    """Reads objectives with commas between them; raises ValueError, one line, for anything else."""
    found = tuple(_objective(part.strip()) for part in text.split(","))
    seen: set[tuple[str, float]] = set()
    for objective in found:
        key = (objective.measure, objective.quantile)
        if key in seen:
            raise ValueError(
                f"{objective.measure} p{objective.quantile * 100:g} stands twice; leave one of the two"
            )
        seen.add(key)
    return found


def _objective(text: str) -> Objective:
    match = _FORM.fullmatch(text.casefold())
    if match is None:
        raise ValueError(f"{text[:40]!r} is no objective; write them as {_EXAMPLE}")
    for measure in get_args(Measure):
        if measure == match["measure"]:
            # Rounded, because 99.9 / 100 is not the nearest number to 0.999.
            quantile = round(float(match["percent"]) / 100, 6)
            limit_s = float(match["limit"]) * _SECONDS[match["unit"]]
            if not 0 < quantile < 1 or limit_s <= 0:
                raise ValueError(f"{text[:40]!r}: a percentile lies between p0 and p100, a limit above 0")
            return Objective(measure=measure, quantile=quantile, limit_s=limit_s)
    names = ", ".join(get_args(Measure))
    raise ValueError(f"{match['measure']!r} is nothing an objective can be set for; it knows {names}")
