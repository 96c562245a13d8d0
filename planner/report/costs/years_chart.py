"""The chart of money over the years: what has been paid in all, month by month, under the best options."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

from hardware.units import format_count
from planner.report.document import listed
from planner.report.drawing import INK, SERIES, WIDTH_PX, Chart, figure_of, finished, spread, style
from planner.report.outside_text import plain
from planner.report.quantities import usd

_HEIGHT_PX: Final = 320
_DASHES: Final[tuple[Any, ...]] = ("-", (0, (6, 2)), (0, (2, 2)), (0, (8, 2, 2, 2)))
_MOST: Final = 4


def years_chart(data: Mapping[str, Any]) -> Chart | None:
    """Dollars paid since the start over months; None for a single month."""
    shown = _shown(data["options"])
    if not shown or len(shown[0]["flow"]["out_usd_by_month"]) < 2:
        return None
    paid = [list(accumulate(option["flow"]["out_usd_by_month"])) for option in shown]
    with style():
        figure = figure_of(_HEIGHT_PX)
        axes = figure.add_axes(
            (64 / WIDTH_PX, 46 / _HEIGHT_PX, (WIDTH_PX - 64 - 200) / WIDTH_PX, (_HEIGHT_PX - 66) / _HEIGHT_PX)
        )
        for index, line in enumerate(paid):
            own = shown[index]["kind"] != "api"
            axes.plot(
                range(1, len(line) + 1), line, color=INK if own else SERIES[index % len(SERIES)],
                linestyle=_DASHES[index % len(_DASHES)], linewidth=2.2 if own else 1.6,
            )  # fmt: skip
        axes.set_xlim(1, len(paid[0]))
        top = max(max(line) for line in paid)
        axes.set_ylim(0, top * 1.05 if top > 0 else 1)
        axes.set_xlabel("month")
        axes.set_ylabel("US dollars paid in all")
        axes.yaxis.set_major_formatter(lambda value, _: f"${format_count(value)}")
        axes.grid(visible=True, axis="y")
        ends = sorted((line[-1] / (top * 1.05 or 1), index) for index, line in enumerate(paid))
        for (_, index), place in zip(
            ends, spread([end for end, _ in ends], [0.07] * len(ends), 0.0, 1.0), strict=True
        ):
            axes.text(
                1.02, place, plain(shown[index]["name"], 34), transform=axes.transAxes, va="center", fontsize=9,
                color=INK if shown[index]["kind"] != "api" else SERIES[index % len(SERIES)],
            )  # fmt: skip
        words = [
            f"{plain(option['name'], 60)} {usd(line[-1])}" for option, line in zip(shown, paid, strict=True)
        ]
        return finished(
            figure, "years", "Paid in all, month by month", f"After {len(paid[0])} months: {listed(words)}."
        )


def _shown(options: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The cheapest over the years, with the cheapest API and the cheapest own machines among them."""
    best = list(options[:_MOST])
    for kind in ("api", "own"):
        first = next((option for option in options if option["kind"] == kind), None)
        if first is not None and first not in best:
            best[-1] = first
    return best
