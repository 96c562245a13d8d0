"""The chart of cost over volume: a staircase for own machines, a line for each API, and where the workload is now."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from hardware.units import format_count
from planner.report.document import listed
from planner.report.drawing import INK, MUTED, SERIES, WIDTH_PX, Chart, figure_of, finished, spread, style
from planner.report.outside_text import plain
from planner.report.quantities import usd

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HEIGHT_PX: Final = 400
_DASHES: Final[tuple[Any, ...]] = ("-", (0, (6, 2)), (0, (2, 2)), (0, (8, 2, 2, 2)), (0, (4, 4)), (0, (1, 1)))
_MOST: Final = 6  # lines that a person can tell apart


def volume_chart(curves: Sequence[Mapping[str, Any]], data: Mapping[str, Any]) -> Chart | None:
    """Dollars a month over tasks a month; None without a curve."""
    shown = _shown(curves)
    if not shown:
        return None
    now = float(data["load"]["tasks_per_month"])
    with style():
        figure = figure_of(_HEIGHT_PX)
        axes = figure.add_axes(
            (64 / WIDTH_PX, 48 / _HEIGHT_PX, (WIDTH_PX - 64 - 200) / WIDTH_PX, (_HEIGHT_PX - 84) / _HEIGHT_PX)
        )
        axes.set_xscale("log")
        axes.set_yscale("log")
        for index, curve in enumerate(shown):
            own = curve["kind"] == "own"
            axes.plot(
                curve["tasks_per_month"], curve["usd_per_month"], color=INK if own else SERIES[index % len(SERIES)],
                linestyle=_DASHES[index % len(_DASHES)], linewidth=2.4 if own else 1.6,
            )  # fmt: skip
        axes.axvline(now, color=MUTED, linewidth=1.0, linestyle=(0, (3, 3)))
        axes.text(now, 1.01, f"now: {format_count(now)}", transform=axes.get_xaxis_transform(), ha="center", va="bottom", fontsize=9, color=MUTED)  # fmt: skip
        axes.set_xlabel("tasks a month")
        axes.set_ylabel("US dollars a month")
        axes.xaxis.set_major_formatter(lambda value, _: format_count(value))
        axes.yaxis.set_major_formatter(lambda value, _: f"${format_count(value)}")
        axes.minorticks_off()
        axes.grid(visible=True)
        _label_ends(axes, shown)
        return finished(figure, "volume", "Cost of a month over the volume", _words(shown, now))


def _shown(curves: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The cheapest at today's volume of each kind, own machines first."""
    whole = [curve for curve in curves if curve["tasks_per_month"] and min(curve["usd_per_month"]) > 0]
    middle = {id(curve): curve["usd_per_month"][len(curve["usd_per_month"]) // 2] for curve in whole}
    own = sorted((c for c in whole if c["kind"] == "own"), key=lambda c: middle[id(c)])[: _MOST // 2]
    apis = sorted((c for c in whole if c["kind"] == "api"), key=lambda c: middle[id(c)])[: _MOST - len(own)]
    return [*own, *apis]


def _label_ends(axes: "Axes", shown: Sequence[Mapping[str, Any]]) -> None:
    """Each line's name at its right end, moved apart where they would overlap."""
    import numpy as np

    low, high = axes.get_ylim()
    ends = sorted((float(curve["usd_per_month"][-1]), index) for index, curve in enumerate(shown))
    span = np.log(high / low)
    wanted = [float(np.log(value / low) / span) for value, _ in ends]
    places = spread(wanted, [0.055] * len(ends), 0.0, 1.0)
    for (_, index), place in zip(ends, places, strict=True):
        curve = shown[index]
        axes.text(
            1.02, place, plain(curve["name"], 34), transform=axes.transAxes, va="center", fontsize=9,
            color=INK if curve["kind"] == "own" else SERIES[index % len(SERIES)],
        )  # fmt: skip


def _words(shown: Sequence[Mapping[str, Any]], now: float) -> str:
    at_now = []
    for curve in shown:
        nearest = min(
            range(len(curve["tasks_per_month"])), key=lambda i: abs(curve["tasks_per_month"][i] - now)
        )
        at_now.append(f"{plain(curve['name'], 60)} about {usd(curve['usd_per_month'][nearest])}")
    return f"At {format_count(now)} tasks a month: {listed(at_now)}. Own machines rise in steps, APIs along a line."
