"""The tornado: what each figure alone does to the difference between owning and the API, the widest first."""

from collections.abc import Mapping
from typing import Any, Final

from hardware.units import format_count
from planner.report.drawing import INK, MUTED, PALE, SERIES, WIDTH_PX, Chart, figure_of, finished, style
from planner.report.outside_text import plain
from planner.report.quantities import usd

_MOST: Final = 9
_BAR_PX: Final = 30
_LEFT_PX: Final = 210


def tornado_chart(duel: Mapping[str, Any]) -> Chart | None:
    """Bars of dollars over the years around what is expected; None where nothing moves it."""
    risk = duel["risk"]
    swings = [swing for swing in risk["swings"] if swing["usd_at_low"] != swing["usd_at_high"]][:_MOST]
    if not swings:
        return None
    middle = float(risk["expected_difference_usd"])
    height = _BAR_PX * len(swings) + 80
    with style():
        figure = figure_of(height)
        axes = figure.add_axes(
            (_LEFT_PX / WIDTH_PX, 46 / height, (WIDTH_PX - _LEFT_PX - 30) / WIDTH_PX, (height - 70) / height)
        )
        for row, swing in enumerate(reversed(swings)):
            low, high = float(swing["usd_at_low"]), float(swing["usd_at_high"])
            # In grey, the end at the low value is pale with an edge and the one at the high value is full.
            axes.barh(
                row, low - middle, left=middle, height=0.6, color=PALE, edgecolor=SERIES[0], linewidth=1.0
            )
            axes.barh(
                row,
                high - middle,
                left=middle,
                height=0.6,
                color=SERIES[0],
                edgecolor=SERIES[0],
                linewidth=1.0,
            )
        axes.axvline(middle, color=INK, linewidth=1.4)
        axes.axvline(0.0, color=MUTED, linewidth=1.0, linestyle=(0, (3, 3)))
        axes.set_yticks(range(len(swings)), [_label(swing) for swing in reversed(swings)], fontsize=9)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("own less API, US dollars over the years; left of 0 owning is cheaper")
        axes.xaxis.set_major_formatter(
            lambda value, _: f"{'−' if value < 0 else ''}${format_count(abs(value))}"
        )
        axes.xaxis.set_major_locator(_few_ticks())
        axes.grid(visible=True, axis="x")
        axes.set_axisbelow(True)
        first = swings[0]
        words = (
            f"Expected {usd(middle)}. Pale: the figure at its low end, full: at its high end. The widest: {_label(first)}, from "
            f"{usd(float(first['usd_at_low']))} to {usd(float(first['usd_at_high']))}."
        )
        return finished(figure, "tornado", "What moves the answer", words)


def _few_ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=5)


def _label(swing: Mapping[str, Any]) -> str:
    return plain(str(swing["figure"]).replace("_", " "), 34)
