"""The report as JSON: complete, versioned, and the same figures as the page and the Markdown."""

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest

from planner.report.full import FullReport
from planner.report.full_data import report_data
from planner.report.html import render_html
from planner.report.markdown import render_markdown
from planner.report.quantities import rate, usd
from tests.planner.report.page import parse
from tests.planner.report.reports import (
    LARGE,
    SLY,
    cpu_report,
    gpu_report,
    hostile_report,
    make_report,
)

REPORTS = {
    "cpu": cpu_report(),
    "gpu": gpu_report(),
    "sly": hostile_report(SLY),
    "too large": make_report(network=LARGE, quant="F16", measured=False),
    "no prices": make_report(prices=()),
}


def numbers(data: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Every number with the keys that lead to it."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from numbers(value, f"{path}.{key}")
    elif isinstance(data, list):
        for value in data:
            yield from numbers(value, path)
    elif isinstance(data, int | float) and not isinstance(data, bool):
        yield path, data


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_it_survives_json(report: FullReport) -> None:
    data = report_data(report)
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["schema"] == "planner.report/2"


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_keys_carry_units(report: FullReport) -> None:
    # A quantity is in a unit, a count, a share or a ratio; the last key or the one around it says which.
    units = (
        "bytes", "per_s", "_s", "tokens", "usd", "mtok", "month", "fraction", "elements", "parameters", "hz", "_w",
        "n_", "size", "layers", "index", "machines", "flop", "bits_per_weight", "measured_over_expected",
    )  # fmt: skip
    for path, _ in numbers(report_data(report)):
        assert any(unit in path for unit in units), path


def test_raw_samples_and_terms_are_there() -> None:
    report = cpu_report()
    assert report.run is not None
    data = report_data(report)
    samples = [measured["samples_s"] for measured in data["benchmark"]["measurements"]]
    assert samples == [list(measured.samples_s) for measured in report.run.measurements]
    for fit, row in zip(
        (data["estimate_before_benchmark"], *data["estimates"]), (report.before, *report.rows), strict=True
    ):
        terms = [term for device in fit["devices"] for term in device["terms"]]
        # The terms are the whole of what is needed, each with its basis and source.
        assert sum(term["value_bytes"] for term in terms) == fit["needed_bytes"] == row.placement.needed_bytes
        assert all(term["basis"] and term["source"] for term in terms)
        for phase in ("decode", "decode_full_context", "prefill"):
            assert all("value_s" in term for term in fit[phase]["terms"])


def test_decode_terms_add_up_to_the_speed() -> None:
    # One token takes the sum of its terms: expected = 1 / Σ seconds.
    for fit in report_data(gpu_report())["estimates"]:
        seconds = sum(term["value_s"] for term in fit["decode"]["terms"])
        assert math.isclose(fit["decode"]["tokens_per_s"]["expected"], 1 / seconds)


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_page_markdown_and_data_say_the_same(name: str) -> None:
    report = REPORTS[name]
    data = json.loads(json.dumps(report_data(report)))
    shown = parse(render_html(report)).text
    written = render_markdown(report).replace("\\", "")
    expected = [*data["answer"]]
    for check in data["speed_checks"]:
        expected += [rate(check["predicted_tokens_per_s"][key]) for key in ("low", "expected", "high")]
        if check["measured_tokens_per_s"] is not None:
            found = check["measured_tokens_per_s"]
            expected.append(f"{found['mean']:,.2f} ± {found['stddev']:,.2f}")
            expected.append(f"{check['measured_over_expected']:.2f}")
    expected += [usd(api["usd_per_month"]) for api in data["apis"]]
    expected.append(f"{data['cost']['capacity_tokens_per_month']:,.0f}")
    expected.append(usd(data["cost"]["break_even_usd_per_month"]))
    expected.append(f"{data['model']['storage']['bits_per_weight']:.2f} bits per weight")
    for text in expected:
        assert text in written
        assert text.replace("`", "") in shown.replace(" .", ".")
