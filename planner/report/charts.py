"""The report's three charts as inline SVG: memory against capacity, estimate against measurement, cost.

matplotlib is imported inside the functions that draw. Colours are placeholders that become the page's CSS
variables, so that one drawing serves light, dark and print; text that came from outside is never parsed.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, filterwarnings

from hardware.units import format_bytes, format_count
from planner.compare.monthly import api_usd_per_month
from planner.estimate.measurement import Phase
from planner.estimate.memory import DeviceLoad
from planner.report.document import listed
from planner.report.figures import percent
from planner.report.findings import SpeedCheck, headline, money, speed_checks
from planner.report.full import FullReport, PricedApi
from planner.report.outside_text import plain
from planner.report.quantities import rate, usd
from planner.report.svg import inline_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_PX = 680
_POINTS_PER_INCH = 72

# Drawn with on the left, shown as on the right; series 0–7 follow Okabe and Ito's colour-blind-safe set.
INK, MUTED, LINE, PAPER, PALE = "#010101", "#010102", "#010103", "#010104", "#010105"
SERIES = tuple(f"#0201{index:02x}" for index in range(8))
_CSS = {
    INK: "currentColor",
    MUTED: "var(--muted)",
    LINE: "var(--line)",
    PAPER: "var(--paper)",
    PALE: "var(--pale)",
    **{colour: f"var(--series-{index})" for index, colour in enumerate(SERIES)},
}
_TERM_COLOURS = dict(
    zip(
        ("weights", "experts", "embedding", "KV cache", "state", "compute", "output", "engine and driver"),
        SERIES,
        strict=True,
    )
)
_DASHES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (2, 2)), (0, (8, 2, 2, 2)), (0, (4, 4)), (0, (1, 1)))
_MARKERS = ("o", "s", "^", "v", "D", "P")
_MAX_APIS = len(_DASHES)
_MAX_DEVICES = 9
_SMALL_SHARE = 0.3  # below it a bar against capacity is too short to show its parts, so they are drawn apart
_VOLUMES = (1e6, 1e11)  # tokens a month


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One chart: a title and a description in words, and an SVG element to put into a page as it is."""

    key: str
    title: str
    description: str
    svg: str


def charts(report: FullReport) -> tuple[Chart, ...]:
    """The charts that the report has figures for."""
    found = (memory_chart(report), speed_chart(report), cost_chart(report))
    return tuple(chart for chart in found if chart is not None)


@contextmanager
def _style() -> Iterator[None]:
    import matplotlib

    settings: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": "planner",
        "text.parse_math": False,  # a "$" in a name is a dollar sign
        "font.size": 11,
        "text.color": INK,
        "axes.edgecolor": LINE,
        "axes.labelcolor": MUTED,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "axes.facecolor": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": LINE,
        "grid.linewidth": 0.8,
    }
    with matplotlib.rc_context(settings), catch_warnings():
        # Letters are drawn by the page's fonts; that matplotlib's own lacks one does not matter.
        filterwarnings("ignore", message="Glyph .* missing from")
        yield


def _figure(height_px: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(
        figsize=(WIDTH_PX / _POINTS_PER_INCH, height_px / _POINTS_PER_INCH),
        dpi=_POINTS_PER_INCH,
        facecolor="none",
    )


def _chart(figure: "Figure", key: str, title: str, description: str) -> Chart:
    written = BytesIO()
    figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None}, facecolor="none")
    svg = inline_svg(
        written.getvalue().decode(), key=f"chart-{key}", title=title, description=description, colours=_CSS
    )
    return Chart(key=key, title=title, description=description, svg=svg)


def memory_chart(report: FullReport) -> Chart:
    """One bar per device: what lies on it, term by term, against what it has."""
    placement = headline(report).placement
    loads = tuple(load for load in placement.loads if load.terms)
    shown = loads[:_MAX_DEVICES]
    heights = [_memory_height_px(load) for load in shown]
    with _style():
        figure = _figure(sum(heights))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.axis("off")
        axes.set(xlim=(0, WIDTH_PX), ylim=(sum(heights), 0))  # pixels, from the top
        top = 0.0
        for load, height in zip(shown, heights, strict=True):
            _draw_device(axes, load, top)
            top += height
        said = listed([_device_words(load) for load in loads])
        title = f"Memory by term at {placement.flags.n_context_tokens:,} tokens of context"
        return _chart(figure, "memory", title, f"{said}.")


_BAR_PX, _THIN_PX, _GUIDE_PX = 24, 10, 16
_EDGE_PX = 4  # kept free at both sides, so that outlines are not cut


def _share(load: DeviceLoad) -> float:
    return load.needed_bytes / load.device.capacity_bytes if load.device.capacity_bytes > 0 else 1.0


def _memory_height_px(load: DeviceLoad) -> float:
    return 92 + (_THIN_PX + _GUIDE_PX if _share(load) < _SMALL_SHARE else 0)


def _sums(load: DeviceLoad) -> list[tuple[str, int]]:
    """Terms of one name together: experts come as those of layers here and those moved here."""
    return [(name, load.term_bytes(name)) for name in dict.fromkeys(term.name for term in load.terms)]


def _device_words(load: DeviceLoad) -> str:
    parts = listed([f"{name} {format_bytes(n_bytes)}" for name, n_bytes in _sums(load)])
    needed, capacity = format_bytes(load.needed_bytes), format_bytes(load.device.capacity_bytes)
    left = (
        f"{format_bytes(load.free_bytes)} left"
        if load.fits
        else f"{format_bytes(-load.free_bytes)} too little"
    )
    return f"{plain(load.device.name, 40)}: {needed} of {capacity}, {left} ({parts})"


def _draw_device(axes: "Axes", load: DeviceLoad, top: float) -> None:
    from matplotlib.patches import Rectangle

    needed, capacity = load.needed_bytes, load.device.capacity_bytes
    width = WIDTH_PX - 2 * _EDGE_PX
    name = plain(load.device.gpu.name, 30) if load.device.gpu else ""
    axes.text(_EDGE_PX, top + 15, f"{plain(load.device.name, 40)} {name}".strip(), fontweight="bold")
    left = (
        f"{format_bytes(load.free_bytes)} left"
        if load.fits
        else f"{format_bytes(-load.free_bytes)} too little"
    )
    text = f"{format_bytes(needed)} of {format_bytes(capacity)} ({percent(_share(load))}), {left}"
    axes.text(WIDTH_PX - _EDGE_PX, top + 15, text, ha="right", color=INK if load.fits else SERIES[4])
    scale = width / max(needed, capacity)
    y = top + 22
    if _share(load) < _SMALL_SHARE:
        end = _EDGE_PX + needed * scale
        axes.add_patch(Rectangle((_EDGE_PX, y), needed * scale, _THIN_PX, facecolor=SERIES[0], linewidth=0))
        axes.add_patch(Rectangle((_EDGE_PX, y), width, _THIN_PX, fill=False, edgecolor=INK, linewidth=1))
        zoomed = y + _THIN_PX + _GUIDE_PX
        for start, stop in ((_EDGE_PX, _EDGE_PX), (end, WIDTH_PX - _EDGE_PX)):
            axes.plot(
                (start, stop), (y + _THIN_PX, zoomed), color=MUTED, linewidth=0.8, linestyle=(0, (3, 2))
            )
        _draw_terms(axes, load, zoomed, width / needed)
        return
    _draw_terms(axes, load, y, scale)
    edge = _EDGE_PX + capacity * scale
    axes.add_patch(
        Rectangle((_EDGE_PX, y), capacity * scale, _BAR_PX, fill=False, edgecolor=INK, linewidth=1)
    )
    axes.plot((edge, edge), (y - 4, y + _BAR_PX + 4), color=INK, linewidth=2.5)


def _draw_terms(axes: "Axes", load: DeviceLoad, y: float, scale: float) -> None:
    from matplotlib.patches import Rectangle

    middles, labels = [], []
    x = float(_EDGE_PX)
    for name, n_bytes in _sums(load):
        width = n_bytes * scale
        colour = _TERM_COLOURS.get(name, MUTED)
        axes.add_patch(
            Rectangle(
                (x, y), width, _BAR_PX, facecolor=colour, edgecolor=PAPER, linewidth=min(1.0, width / 4)
            )
        )
        middles.append(x + width / 2)
        labels.append((name, format_bytes(n_bytes)))
        x += width
    widths = [max(len(name), len(value)) * 5.9 + 10 for name, value in labels]
    places = spread(middles, widths, _EDGE_PX, WIDTH_PX - _EDGE_PX)
    for (name, value), middle, place in zip(labels, middles, places, strict=True):
        axes.plot((middle, place), (y + _BAR_PX + 1, y + _BAR_PX + 10), color=MUTED, linewidth=0.8)
        axes.text(place, y + _BAR_PX + 21, name, ha="center", fontsize=10)
        axes.text(place, y + _BAR_PX + 33, value, ha="center", fontsize=10, color=MUTED)


def spread(wanted: Sequence[float], sizes: Sequence[float], low: float, high: float) -> list[float]:
    """Middles of labels near where they are wanted, in order, without overlap, within bounds if they fit."""
    places: list[float] = []
    edge = low
    for middle, size in zip(wanted, sizes, strict=True):
        places.append(max(middle, edge + size / 2))
        edge = places[-1] + size / 2
    edge = high
    for index in reversed(range(len(places))):
        places[index] = min(places[index], edge - sizes[index] / 2)
        edge = places[index] - sizes[index] / 2
    return places


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
    with _style():
        figure = _figure(height)
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
        return _chart(figure, "speed", title, f"{listed([_check_words(check) for check in checks])}.")


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


def cost_chart(report: FullReport) -> Chart | None:
    """Dollars a month over tokens a month: a line for each API, and one for own machines if their cost is known."""
    apis = _shown_apis([api for api in report.apis if api.usd_per_month > 0])
    if not apis:
        return None
    height = 380
    with _style():
        figure = _figure(height)
        axes = figure.add_axes(
            (62 / WIDTH_PX, 48 / height, (WIDTH_PX - 62 - 190) / WIDTH_PX, (height - 96) / height)
        )
        ends = list(_draw_apis(axes, report, apis))
        own = _draw_own(axes, report)
        _dress_cost_axes(axes)
        _draw_marks(axes, report)
        _label_ends(axes, [*ends, *own])
        n_more = len(report.apis) - len(apis)
        return _chart(figure, "cost", "Cost per month against volume", _cost_words(report, apis, n_more))


def _shown_apis(apis: Sequence[PricedApi]) -> tuple[PricedApi, ...]:
    """All of a few; of many the cheapest, the dearest and some evenly between."""
    if len(apis) <= _MAX_APIS:
        return tuple(apis)
    picked = {round(index * (len(apis) - 1) / (_MAX_APIS - 1)) for index in range(_MAX_APIS)}
    return tuple(apis[index] for index in sorted(picked))


def _draw_apis(
    axes: "Axes", report: FullReport, apis: Iterable[PricedApi]
) -> Iterator[tuple[str, float, str]]:
    import numpy as np

    volumes: Any = np.geomspace(*_VOLUMES, 6)
    for index, api in enumerate(apis):
        bills: Any = api_usd_per_month(api.price, volumes, report.workload.output_fraction)
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
    volume = report.workload.tokens_per_month
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
    text = f"At {format_count(report.workload.tokens_per_month)} tokens a month: {listed(parts)}."
    if n_more:
        text += f" {n_more} more are in the table."
    if found.capacity_tokens_per_month is not None:
        text += f" One machine makes at most {format_count(found.capacity_tokens_per_month)} tokens a month."
    if found.own_usd_per_month is not None:
        text += f" Own machines cost {usd(found.own_usd_per_month)} for it."
    elif found.break_even_usd_per_month is not None:
        text += f" One may cost {usd(found.break_even_usd_per_month)} before the cheapest API is cheaper."
    return text
