"""The chart of cost: dollars a month over tokens a month, for APIs and for own machines."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hardware.units import TOKENS_PER_MTOK, format_count
from planner.report.document import listed
from planner.report.drawing import INK, MUTED, SERIES, WIDTH_PX, Chart, figure_of, finished, spread, style
from planner.report.findings import money
from planner.report.full import FullReport, PricedApi
from planner.report.outside_text import plain
from planner.report.quantities import usd

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DASHES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (2, 2)), (0, (8, 2, 2, 2)), (0, (4, 4)), (0, (1, 1)))
_MARKERS = ("o", "s", "^", "v", "D", "P")
_MAX_APIS = len(_DASHES)
_VOLUMES = (1e6, 1e11)  # tokens a month


def cost_chart(report: FullReport) -> Chart | None:
    """Dollars a month over tokens a month: a line for each API, and one for own machines if their cost is known."""
    apis = _shown_apis([api for api in report.apis if api.usd_per_month > 0])
    if not apis:
        return None
    height = 380
    with style():
        figure = figure_of(height)
        axes = figure.add_axes(
            (62 / WIDTH_PX, 48 / height, (WIDTH_PX - 62 - 190) / WIDTH_PX, (height - 96) / height)
        )
        ends = list(_draw_apis(axes, apis))
        own = _draw_own(axes, report)
        _dress_cost_axes(axes)
        _draw_marks(axes, report)
        _label_ends(axes, [*ends, *own])
        n_more = len(report.apis) - len(apis)
        return finished(figure, "cost", "Cost per month against volume", _cost_words(report, apis, n_more))


def _shown_apis(apis: Sequence[PricedApi]) -> tuple[PricedApi, ...]:
    """All of a few; of many the cheapest, the dearest and some evenly between."""
    if len(apis) <= _MAX_APIS:
        return tuple(apis)
    picked = {round(index * (len(apis) - 1) / (_MAX_APIS - 1)) for index in range(_MAX_APIS)}
    return tuple(apis[index] for index in sorted(picked))


def _draw_apis(axes: "Axes", apis: Iterable[PricedApi]) -> Iterator[tuple[str, float, str]]:
    import numpy as np

    volumes: Any = np.geomspace(*_VOLUMES, 6)
    for index, api in enumerate(apis):
        bills: Any = api.usd_per_mtok * volumes / TOKENS_PER_MTOK
        axes.plot(
            volumes, bills, color=SERIES[index % len(SERIES)], linestyle=_DASHES[index], linewidth=1.6,
            marker=_MARKERS[index], markersize=4.5,
        )  # fmt: skip
        yield plain(api.price.model_id, 28), float(bills[-1]), SERIES[index % len(SERIES)]


def _draw_own(axes: "Axes", report: FullReport) -> list[tuple[str, float, str]]:
    """Own machines, as many as the volume takes; one at any volume where its capacity is unknown."""
    import numpy as np

    own = report.own_usd_per_month
    if not own:
        return []
    capacity = money(report).capacity_tokens_per_month
    volumes: Any = np.geomspace(*_VOLUMES, 2000)
    n_machines: Any = np.ones_like(volumes) if capacity is None else np.ceil(volumes / capacity)
    axes.plot(volumes, own * n_machines, color=INK, linewidth=2.6)
    label = "one machine" if capacity is None else "own machines"
    return [(label, float(own * n_machines[-1]), INK)]


def _dress_cost_axes(axes: "Axes") -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set(xscale="log", yscale="log", xlim=_VOLUMES)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(numticks=12))
        axis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: _power(value))
    axes.yaxis.set_major_formatter(lambda value, _: f"${_power(value)}")
    axes.set_xlabel("tokens a month", fontsize=10)
    axes.set_title("$ a month", loc="left", fontsize=10, color=MUTED, x=-0.12, y=1.06)
    axes.grid()
    axes.set_axisbelow(True)
    axes.tick_params(length=0)


def _power(value: float) -> str:
    """A power of ten: 0.1, 10, 1 k, 100 M."""
    return format_count(value).replace(".00 ", " ").replace(".0 ", " ") if value >= 1 else f"{value:g}"


def _draw_marks(axes: "Axes", report: FullReport) -> None:
    """Where the workload lies, what one machine can make, and where the two ways cost the same."""
    found = money(report)
    volume = report.tokens_per_month
    _vertical(axes, volume, f"workload {format_count(volume)}", 1.065, (0, (1.5, 1.5)))
    capacity = found.capacity_tokens_per_month
    if capacity is not None:
        _vertical(axes, capacity, f"one machine’s most {format_count(capacity)}", 1.015, (0, (7, 2, 1.5, 2)))
    x, y, text = volume, found.break_even_usd_per_month, ""
    if report.own_usd_per_month is not None:
        x, y = found.break_even_tokens_per_month or 0, report.own_usd_per_month
        text = f"even at {format_count(x)}"
        y = None if capacity is not None and x > capacity else y
    elif y is not None:
        text = f"even at {usd(y)}"
    if y and _VOLUMES[0] <= x <= _VOLUMES[1]:
        axes.plot(
            (x,),
            (y,),
            marker="o",
            markersize=9,
            markerfacecolor="none",
            markeredgecolor=INK,
            markeredgewidth=2,
        )
        axes.annotate(
            text, (x, y), xytext=(8, -14), textcoords="offset points", fontsize=10, fontweight="bold"
        )


def _vertical(axes: "Axes", x: float, text: str, y: float, dashes: Any) -> None:
    if not _VOLUMES[0] <= x <= _VOLUMES[1]:
        return
    axes.axvline(x, color=INK, linewidth=1.1, linestyle=dashes)
    left = x < (_VOLUMES[0] * _VOLUMES[1]) ** 0.5
    axes.annotate(
        text, (x, y), xycoords=("data", "axes fraction"), fontsize=10, ha="left" if left else "right"
    )


def _label_ends(axes: "Axes", ends: Sequence[tuple[str, float, str]]) -> None:
    """Names at the right ends of lines, moved apart where lines lie close, each with a line to its own."""
    box = axes.get_window_extent()
    wanted = [axes.transData.transform((_VOLUMES[1], value))[1] for _, value, _ in ends]
    order = sorted(range(len(ends)), key=lambda index: wanted[index])
    places = spread([wanted[i] for i in order], [14.0] * len(order), box.y0 - 10, box.y1 + 10)
    for index, place in zip(order, places, strict=True):
        text, value, colour = ends[index]
        fraction = (place - box.y0) / box.height
        axes.annotate(
            text, (_VOLUMES[1], value), xytext=(1.05, fraction), textcoords="axes fraction", va="center",
            fontsize=10, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 1, "shrinkA": 1, "shrinkB": 0},
        )  # fmt: skip


def _cost_words(report: FullReport, apis: Sequence[PricedApi], n_more: int) -> str:
    found = money(report)
    parts = [
        f"{plain(api.price.model_id, 60)} of {plain(api.price.provider, 40)} {usd(api.usd_per_month)}"
        for api in apis
    ]
    text = f"At {format_count(report.tokens_per_month)} tokens a month: {listed(parts)}."
    if n_more:
        text += f" {n_more} more are in the table."
    if found.capacity_tokens_per_month is not None:
        text += f" One machine makes at most {format_count(found.capacity_tokens_per_month)} tokens a month."
    if found.own_usd_per_month is not None:
        text += f" Own machines cost {usd(found.own_usd_per_month)} for it."
    elif found.break_even_usd_per_month is not None:
        text += f" One may cost {usd(found.break_even_usd_per_month)} before the cheapest API is cheaper."
    return text
