"""The chart of speed: estimates made before any benchmark, with what was measured over them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from planner.estimate.measurement import Phase
from planner.report.document import listed
from planner.report.drawing import INK, PALE, SERIES, WIDTH_PX, Chart, figure_of, finished, style
from planner.report.findings import SpeedCheck, speed_checks
from planner.report.full import FullReport
from planner.report.quantities import rate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def speed_chart(report: FullReport) -> Chart | None:
    """Each test's interval estimated beforehand with the measured mean and its standard deviation over it."""
    checks = [check for check in speed_checks(report) if check.predicted or check.measured]
    phases: tuple[tuple[Phase, str], ...] = (
        ("prefill", "Reading prompts (prefill)"),
        ("decode", "Writing (decode)"),
    )
    panels = [(name, [check for check in checks if check.phase == phase]) for phase, name in phases]
    panels = [(name, rows) for name, rows in panels if rows]
    if not panels:
        return None
    measured = any(check.measured for check in checks)
    row_px, head_px, foot_px, key_px = 32, 26, 40, 26
    height = key_px + sum(head_px + row_px * len(rows) + foot_px for _, rows in panels)
    with style():
        figure = figure_of(height)
        _draw_key(figure, height, measured=measured)
        top = float(key_px)
        for name, rows in panels:
            axes = figure.add_axes(
                (150 / WIDTH_PX, 1 - (top + head_px + row_px * len(rows)) / height,
                 (WIDTH_PX - 150 - 200) / WIDTH_PX, row_px * len(rows) / height)
            )  # fmt: skip
            _draw_checks(axes, name, rows)
            top += head_px + row_px * len(rows) + foot_px
        title = "Estimate against measurement" if measured else "Estimated speed"
        return finished(figure, "speed", title, f"{listed([_check_words(check) for check in checks])}.")


def _check_words(check: SpeedCheck) -> str:
    parts = []
    if check.measured is not None:
        parts.append(f"measured {_measured_words(check)}")
    if check.predicted is not None:
        found = check.predicted
        parts.append(f"estimated {rate(found.expected)}, 80 % {rate(found.low)}–{rate(found.high)}")
    return f"{check.name}: {', '.join(parts)} tokens per second"


def _measured_words(check: SpeedCheck) -> str:
    measured = check.measured
    if measured is None:
        return ""
    return f"{rate(measured.mean_tokens_per_s)} ± {rate(measured.stddev_tokens_per_s)}"


def _draw_key(figure: "Figure", height: float, *, measured: bool) -> None:
    from matplotlib.patches import Rectangle

    axes = figure.add_axes((0, 1 - 24 / height, 1, 24 / height))
    axes.axis("off")
    axes.set(xlim=(0, WIDTH_PX), ylim=(0, 24))
    axes.add_patch(Rectangle((4, 6), 30, 12, facecolor=PALE, edgecolor=SERIES[0], linewidth=1))
    axes.plot((19, 19), (5, 19), color=SERIES[0], linewidth=2)
    axes.text(42, 8, "estimate: 80 % interval and expected value", fontsize=10)
    if measured:
        axes.errorbar(
            (340,), (12,), xerr=12, marker="D", markersize=6, color=SERIES[4], capsize=3, linewidth=1.5
        )
        axes.text(360, 8, "measured: mean ± standard deviation", fontsize=10)


def _draw_checks(axes: "Axes", name: str, checks: Sequence[SpeedCheck]) -> None:
    ends = []
    for position, check in enumerate(checks):
        lines = []
        if check.predicted is not None:
            found = check.predicted
            axes.barh(
                position, found.high - found.low, left=found.low, height=0.5, facecolor=PALE,
                edgecolor=SERIES[0], linewidth=1, zorder=2,
            )  # fmt: skip
            axes.plot(
                (found.expected, found.expected),
                (position - 0.3, position + 0.3),
                color=SERIES[0],
                linewidth=2,
            )
            ends.append(found.high)
            lines.append(f"estimated {rate(found.low)}–{rate(found.high)}")
        if check.measured is not None:
            mean, deviation = check.measured.mean_tokens_per_s, check.measured.stddev_tokens_per_s
            axes.errorbar(
                (mean,), (position,), xerr=deviation, marker="D", markersize=6, color=SERIES[4], capsize=3,
                linewidth=1.5, zorder=4,
            )  # fmt: skip
            ends.append(mean + deviation)
            verdict = {True: ", inside", False: ", outside", None: ""}[check.held]
            lines.insert(0, f"measured {_measured_words(check)}{verdict}")
        axes.annotate(
            "\n".join(lines), (1.02, position), xycoords=("axes fraction", "data"), va="center", fontsize=10
        )
    axes.set_yticks(range(len(checks)), [check.name for check in checks])
    axes.set(xlim=(0, max(ends) * 1.06), ylim=(len(checks) - 0.5, -0.5))
    axes.set_xlabel("tokens per second", fontsize=10)
    axes.set_title(name, loc="left", fontsize=11, fontweight="bold", color=INK, x=-0.45)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.6g}")
    axes.xaxis.set_major_locator(_few_ticks())
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.tick_params(length=0)


def _few_ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=5)
