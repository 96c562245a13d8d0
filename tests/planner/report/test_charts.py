"""The charts: proportions that can be measured in the drawing, and text that is only ever text."""

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.units import GIB
from planner.report.charts import charts
from planner.report.cost_chart import cost_chart
from planner.report.drawing import SERIES, spread
from planner.report.findings import speed_checks
from planner.report.full import FullReport
from planner.report.memory_chart import memory_chart
from planner.report.speed_chart import speed_chart
from planner.report.svg import inline_svg
from tests.planner.report.reports import (
    LARGE,
    PRICES,
    SLY,
    TWO_GPUS,
    cpu_report,
    gpu_report,
    hostile_report,
    make_report,
    outside_report,
    price,
)

REPORTS = {
    "cpu": cpu_report(),
    "gpu": gpu_report(),
    "hostile": hostile_report(),
    "sly": hostile_report(SLY),
    "own": make_report(own_usd_per_month=3.0),
    "too large": make_report(network=LARGE, quant="F16", measured=False),
}
Points = list[tuple[float, float]]


def paths(svg: str, style: str) -> Iterator[Points]:
    """The corners of every path whose style holds some text."""
    for element in ElementTree.fromstring(svg).iter("path"):
        if style in element.get("style", ""):
            numbers = re.findall(r"[ML] (-?[\d.]+) (-?[\d.]+)", element.get("d", ""))
            yield [(float(x), float(y)) for x, y in numbers]


def width(points: Points) -> float:
    return max(x for x, _ in points) - min(x for x, _ in points)


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_a_drawing_belongs_to_its_page(report: FullReport) -> None:
    found = charts(report)
    fits = report.before.placement.fits
    assert [chart.key for chart in found] == (["memory", "speed", "cost"] if fits else ["memory", "cost"])
    for chart in found:
        root = ElementTree.fromstring(chart.svg)
        assert root.get("role") == "img" and root[0].tag == "title" and root[1].tag == "desc"
        assert root[1].text == chart.description
        assert "http" not in chart.svg and "<style" not in chart.svg
        assert "font-family" not in chart.svg and "DejaVu" not in chart.svg
        # Every colour is the page's own, so that it follows light, dark and print.
        styles = " ".join(element.get("style", "") for element in root.iter())
        assert "#0" not in styles.replace("url(#", "") and "var(--series-" in styles
        for element in root.iter():
            assert element.get("id", f"chart-{chart.key}").startswith(f"chart-{chart.key}")


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_the_same_report_gives_the_same_drawing(report: FullReport) -> None:
    assert charts(report) == charts(report)


def test_names_are_neither_markup_nor_formulas() -> None:
    found = cost_chart(hostile_report())
    assert found is not None
    labels = [element.text or "" for element in ElementTree.fromstring(found.svg).iter("text")]
    # matplotlib would set $x$ in italics and drop the dollars; 28 characters of the name fit.
    assert "<script>alert(1)</script> $…" in labels
    assert "<script" not in found.svg


def test_parts_of_memory_are_as_wide_as_their_bytes() -> None:
    report = cpu_report()
    svg = memory_chart(report).svg
    (load,) = report.rows[0].placement.loads
    colours = {"weights": "var(--series-0)", "KV cache": "var(--series-3)", "compute": "var(--series-5)"}
    bars = {name: max(map(width, paths(svg, f"fill: {css}"))) for name, css in colours.items()}
    for name, bar in bars.items():
        # 672 pixels show all that is needed: the bar without its 4 pixel margins.
        assert bar == pytest.approx(672 * load.term_bytes(name) / load.needed_bytes, abs=0.01)


def test_what_is_used_is_drawn_to_the_scale_of_the_capacity() -> None:
    report = cpu_report()
    (load,) = report.rows[0].placement.loads
    used = min(map(width, paths(memory_chart(report).svg, "fill: var(--series-0)")))
    assert used == pytest.approx(672 * load.needed_bytes / load.device.capacity_bytes, abs=0.01)


def test_a_bar_that_does_not_fit_goes_past_the_capacity() -> None:
    report = REPORTS["too large"]
    (load,) = report.rows[0].placement.loads
    svg = memory_chart(report).svg
    (edge,) = paths(svg, "stroke-width: 2.5")
    assert edge[0][0] == pytest.approx(4 + 672 * load.device.capacity_bytes / load.needed_bytes, abs=0.01)
    assert edge[0][0] < 600
    assert "too little" in svg


def test_more_devices_than_fit_the_chart_are_counted() -> None:
    # 43 GiB of weights and cache, and half a GiB for the driver on each card, take twelve cards of 4.5 GiB.
    small = replace(TWO_GPUS.gpus[0], memory_bytes=round(4.5 * GIB))
    gpus = tuple(replace(small, index=index) for index in range(12))
    report = make_report(network=LARGE, machine=replace(TWO_GPUS, gpus=gpus), measured=False)
    assert memory_chart(report).title.endswith(", the first 9 of 13 devices")


def test_measured_means_and_intervals_share_an_axis() -> None:
    found = speed_chart(outside_report())
    assert found is not None
    texts = [element.text for element in ElementTree.fromstring(found.svg).iter("text")]
    assert "measured 165 ± 5.3, inside" in texts
    assert "measured 15.9 ± 0.24, outside" in texts
    # The axis is linear, so a mean lies along its interval's bar as it lies between low and high.
    marks = [
        float(element.get("x", "nan"))
        for element in ElementTree.fromstring(found.svg).iter("use")
        if "var(--series-4)" in element.get("style", "")
    ]
    bars = [
        points for points in paths(found.svg, "fill: var(--pale)") if len(points) == 4 and width(points) > 31
    ]
    checks = speed_checks(outside_report())
    assert len(bars) == len(checks) == 3
    for check, bar in zip(checks, bars, strict=True):
        assert check.predicted is not None and check.measured is not None
        low, high = check.predicted.low, check.predicted.high
        wanted = bar[0][0] + (check.measured.mean_tokens_per_s - low) / (high - low) * width(bar)
        assert min(abs(mark - wanted) for mark in marks) < 0.01


def test_lines_of_cost_are_as_far_apart_as_their_prices() -> None:
    report = make_report(prices=(price("a", 0.1, 0.1), price("b", 10.0, 10.0)))
    found = cost_chart(report)
    assert found is not None
    lines = [points for points in paths(found.svg, "stroke-width: 1.6") if len(points) == 6]
    cheap, dear = sorted(lines, key=lambda points: -points[0][1])
    # Six volumes a factor of ten apart: a line climbs one decade a step, and b lies two decades above a.
    steps = [cheap[i][1] - cheap[i + 1][1] for i in range(5)]
    assert steps == pytest.approx([steps[0]] * 5, abs=0.01)
    assert cheap[0][1] - dear[0][1] == pytest.approx(math.log10(100) * steps[0], abs=0.01)


def test_of_many_apis_a_few_are_drawn_and_the_rest_counted() -> None:
    many = tuple(price(f"m{index}", 0.1 * (index + 1), 0.2) for index in range(20))
    found = cost_chart(make_report(prices=many))
    assert found is not None
    labels = {element.text for element in ElementTree.fromstring(found.svg).iter("text")}
    assert {"m0", "m19"} <= labels and len(labels & {f"m{index}" for index in range(20)}) == 6
    assert "14 more are in the table." in found.description


def test_nothing_to_draw_is_no_chart() -> None:
    assert cost_chart(make_report(prices=())) is None
    assert cost_chart(make_report(prices=(price("free", 0.0, 0.0),))) is None


def test_own_machines_are_a_line_of_their_own() -> None:
    def labels(report: FullReport) -> set[str | None]:
        found = cost_chart(report)
        assert found is not None
        return {element.text for element in ElementTree.fromstring(found.svg).iter("text")}

    assert "own machines" in labels(REPORTS["own"])
    assert "own machines" not in labels(REPORTS["cpu"])
    unknown = replace(REPORTS["own"], capacity_tokens_per_month=None)
    assert "one machine" in labels(unknown)


def test_every_api_has_a_colour_and_a_dash_of_its_own() -> None:
    found = cost_chart(make_report())
    assert found is not None
    styles = [
        element.get("style", "")
        for element in ElementTree.fromstring(found.svg).iter("path")
        if "stroke-width: 1.6" in element.get("style", "")
    ]
    dashes = {re.sub(r"stroke: [^;]*", "", style) for style in styles}
    assert len(styles) == len(dashes) == len(PRICES) <= len(SERIES)


def test_a_reference_to_outside_is_refused() -> None:
    svg = '<svg xmlns:xlink="http://www.w3.org/1999/xlink"><use xlink:href="http://elsewhere/x"/></svg>'
    with pytest.raises(ValueError, match="outside itself"):
        inline_svg(svg, key="k", title="t", description="d", colours={})


@given(
    st.lists(
        st.tuples(st.floats(0, 500, allow_nan=False), st.floats(1, 40, allow_nan=False)),
        min_size=1,
        max_size=8,
    )
)
def test_labels_keep_their_order_and_do_not_overlap(items: list[tuple[float, float]]) -> None:
    # Eight labels of at most 40 always fit between 0 and 500.
    items.sort()
    wanted, sizes = [item[0] for item in items], [item[1] for item in items]
    places = spread(wanted, sizes, 0, 500)
    edges = [(place - size / 2, place + size / 2) for place, size in zip(places, sizes, strict=True)]
    assert edges[0][0] >= -1e-9 and edges[-1][1] <= 500 + 1e-9
    for left, right in pairwise(edges):
        assert left[1] <= right[0] + 1e-9
