"""What a month costs over the volume: points of each option's staircase or line, for a chart."""

from typing import Any, Final

import numpy as np

from planner.compare.comparison import Comparison
from planner.compare.options import api_line, staircase

_POINTS: Final = 160
_SPAN: Final = 30.0  # the volumes shown reach from a part of today's volume to as many times it


def curves_data(found: Comparison) -> list[dict[str, Any]]:
    """One curve for each option that is own machines or an API alone."""
    tasks_now = float(found.scenario.load.tasks_per_month)
    volumes = np.geomspace(tasks_now / _SPAN, tasks_now * _SPAN, _POINTS)
    curves = []
    for option in found.options:
        month = option.month
        if month.own is not None and month.api is None:
            figures = found.scenario.figures.with_figures(*month.own.specific.values())
            cost = staircase(month.own, figures, found.scenario.load).usd(volumes)
        elif month.api is not None and month.own is None:
            figures = found.scenario.figures.with_figures(*month.api.specific.values())
            cost = api_line(month.api, figures).usd(volumes)
        else:
            continue
        curves.append(
            {
                "name": month.name,
                "kind": month.kind,
                "tasks_per_month": [float(volume) for volume in volumes],
                "usd_per_month": [float(usd) for usd in np.broadcast_to(cost, volumes.shape)],
            }
        )
    return curves
