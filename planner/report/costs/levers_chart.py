"""The chart of what one answer costs at every setting of the levers: a dot for each, on a scale of powers of ten."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from planner.report.drawing import INK, LINE, SERIES, WIDTH_PX, Chart, figure_of, finished, style
from planner.report.outside_text import plain
from planner.report.quantities import usd

_ROW_PX: Final = 22
_LEFT_PX: Final = 330
_MOST: Final = 60
_MARKERS: Final = ("o", "s", "^", "v", "D", "P")


def levers_chart(settings: Sequence[Mapping[str, Any]]) -> Chart | None:
    """Dollars of an answer, the cheapest setting on top; None where no setting has a cost."""
    shown = [setting for setting in settings if setting["usd"]][:_MOST]
    if not shown:
        return None
    models = list(dict.fromkeys(setting["model"] for setting in shown))
    costs = [float(setting["usd"]) for setting in shown]
    height = _ROW_PX * len(shown) + 70
    with style():
        figure = figure_of(height)
        axes = figure.add_axes(
            (_LEFT_PX / WIDTH_PX, 44 / height, (WIDTH_PX - _LEFT_PX - 24) / WIDTH_PX, (height - 60) / height)
        )
        axes.set_xscale("log")
        for row, (setting, cost) in enumerate(zip(shown, costs, strict=True)):
            which = models.index(setting["model"])
            axes.plot((costs[0], cost), (row, row), color=LINE, linewidth=1.2)
            axes.plot(
                cost, row, color=SERIES[which % len(SERIES)] if which else INK, markersize=6, linestyle="none",
                marker=_MARKERS[which % len(_MARKERS)],
            )  # fmt: skip
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.set_yticks(range(len(shown)), [_label(setting) for setting in shown], fontsize=8.5)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_formatter(lambda value, _: f"${value:,.10g}")
        axes.minorticks_off()
        axes.grid(visible=True, axis="x")
        axes.set_axisbelow(True)
        axes.set_xlabel("US dollars an answer")
        words = (
            f"{len(shown)} settings from {_label(shown[0])} at {_small(costs[0])} to {_label(shown[-1])} at "
            f"{_small(costs[-1])}, {costs[-1] / costs[0]:,.0f} times as much. A shape of mark for each model."
        )
        return finished(figure, "levers", "What one answer costs", words)


def _label(setting: Mapping[str, Any]) -> str:
    return (
        f"{plain(setting['model'], 30)}, {int(setting['n_samples'])}×, {_short(setting['thinking_tokens'])} thinking, "
        f"{_short(setting['context_tokens'])} in"
    )


def _short(n_tokens: int) -> str:
    return f"{n_tokens / 1000:g}k" if n_tokens >= 1000 else str(n_tokens)


def _small(value: float) -> str:
    return usd(value) if value >= 1 else f"${value:.3g}"
