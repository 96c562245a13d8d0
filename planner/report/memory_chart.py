"""The chart of memory: one bar per device, what lies on it against what it has."""

from typing import TYPE_CHECKING

from hardware.units import format_bytes
from planner.estimate.memory import DeviceLoad
from planner.report.document import listed
from planner.report.drawing import (
    INK,
    MUTED,
    PAPER,
    SERIES,
    WIDTH_PX,
    Chart,
    figure_of,
    finished,
    spread,
    style,
)
from planner.report.figures import percent
from planner.report.findings import headline
from planner.report.full import FullReport
from planner.report.outside_text import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TERM_COLOURS = dict(
    zip(
        ("weights", "experts", "embedding", "KV cache", "state", "compute", "output", "engine and driver"),
        SERIES,
        strict=True,
    )
)
_MAX_DEVICES = 9
_SMALL_SHARE = 0.3  # below it a bar against capacity is too short to show its parts, so they are drawn apart


def memory_chart(report: FullReport) -> Chart:
    """One bar per device: what lies on it, term by term, against what it has."""
    placement = headline(report).placement
    loads = tuple(load for load in placement.loads if load.terms)
    shown = loads[:_MAX_DEVICES]
    heights = [_memory_height_px(load) for load in shown]
    with style():
        figure = figure_of(sum(heights))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.axis("off")
        axes.set(xlim=(0, WIDTH_PX), ylim=(sum(heights), 0))  # pixels, from the top
        top = 0.0
        for load, height in zip(shown, heights, strict=True):
            _draw_device(axes, load, top)
            top += height
        said = listed([_device_words(load) for load in loads])
        title = f"Memory by term at {placement.flags.n_context_tokens:,} tokens of context"
        if len(loads) > len(shown):
            title += f", the first {len(shown)} of {len(loads)} devices"
        return finished(figure, "memory", title, f"{said}.")


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
