"""What the charts share: how they look, and how a figure becomes inline SVG.

matplotlib is imported inside the functions. Colours are placeholders that become the page's CSS variables,
so that one drawing serves light, dark and print; text that came from outside is never parsed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, filterwarnings

from planner.report.svg import inline_svg

if TYPE_CHECKING:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One chart: a title and a description in words, and an SVG element to put into a page as it is."""

    key: str
    title: str
    description: str
    svg: str


@contextmanager
def style() -> Iterator[None]:
    """The report's way of drawing, for as long as the block lasts."""
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


def figure_of(height_px: float) -> "Figure":
    """An empty figure of the report's width; a point is a pixel of the SVG."""
    from matplotlib.figure import Figure

    return Figure(
        figsize=(WIDTH_PX / _POINTS_PER_INCH, height_px / _POINTS_PER_INCH),
        dpi=_POINTS_PER_INCH,
        facecolor="none",
    )


def finished(figure: "Figure", key: str, title: str, description: str) -> Chart:
    """The figure as a chart for a page."""
    written = BytesIO()
    figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None}, facecolor="none")
    svg = inline_svg(
        written.getvalue().decode(), key=f"chart-{key}", title=title, description=description, colours=_CSS
    )
    return Chart(key=key, title=title, description=description, svg=svg)


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
