"""The page: nothing from outside, nothing that runs, everything escaped, readable by machines that read aloud."""

import re
from functools import cache

import pytest

from planner.report.full import FullReport
from planner.report.html import is_web_link, render_html
from planner.report.story import story
from tests.planner.report.page import Page, parse
from tests.planner.report.reports import (
    HOSTILE,
    LARGE,
    SLY,
    cpu_report,
    gpu_report,
    hostile_report,
    make_report,
    price,
)

REPORTS = {
    "cpu": cpu_report(),
    "gpu": gpu_report(),
    "hostile": hostile_report(),
    "sly": hostile_report(SLY),
    "too large": make_report(network=LARGE, quant="F16", measured=False),
    "no prices": make_report(prices=()),
}


@cache
def rendered(name: str) -> str:
    return render_html(REPORTS[name])


@pytest.fixture(params=REPORTS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def page(name: str) -> Page:
    return parse(rendered(name))


def test_nothing_is_loaded_or_run(page: Page) -> None:
    tags = {tag for tag, _ in page.elements}
    assert not tags & {
        "script",
        "img",
        "iframe",
        "object",
        "embed",
        "link",
        "base",
        "form",
        "image",
        "foreignobject",
    }
    for tag, attributes in page.elements:
        for attribute, value in attributes.items():
            assert not attribute.startswith("on"), (tag, attribute)
            if attribute == "href":
                outside = tag == "a" and re.match(r"https?://[a-z0-9.-]+/", value)
                assert outside or (tag == "use" and value.startswith("#")), (tag, value)
            else:
                assert "://" not in value and attribute != "src", (tag, attribute, value)
            for reference in re.findall(r"url\(([^)]*)\)", value):
                assert reference.startswith("#")
    css = " ".join(text for tag, text in page.texts if tag == "style")
    assert css and "@import" not in css and "url(" not in css


def test_a_policy_forbids_what_the_page_does_not_need(page: Page) -> None:
    policies = [meta["content"] for meta in page.all("meta") if "http-equiv" in meta]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]


def test_tags_pair_up_and_ids_are_unique(page: Page) -> None:
    # A name that broke out of its place would leave a tag without its partner.
    assert page.unclosed == []
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    referenced = [attributes["href"][1:] for attributes in page.all("use")]
    assert referenced and set(referenced) <= set(ids)
    for _, attributes in page.elements:
        for key in ("aria-labelledby", "aria-describedby"):
            assert attributes.get(key, ids[0]) in ids


def test_it_can_be_read_aloud(page: Page, name: str) -> None:
    assert page.all("html")[0]["lang"] == "en"
    headings = [tag for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert headings[0] == "h1" and set(headings[1:]) == {"h2"}
    tables = page.all("table")
    assert len(tables) == len(page.all("caption")) == len(story(REPORTS[name]).tables)
    assert all(attributes.get("scope") in ("row", "col") for attributes in page.all("th"))
    charts = page.all("svg")
    assert charts and all(chart["role"] == "img" for chart in charts)
    assert len(page.all("desc")) == len(charts)


@pytest.mark.parametrize("hostile", [HOSTILE, SLY])
def test_hostile_names_are_shown_as_text(hostile: str) -> None:
    name = "hostile" if hostile == HOSTILE else "sly"
    html = rendered(name)
    assert "<script" not in html.lower()
    assert "javascript:" not in " ".join(attributes.get("href", "") for _, attributes in parse(html).elements)
    html.encode()  # a lone surrogate could not be written to a file


def test_a_provider_that_is_a_formula_or_a_script_is_text() -> None:
    prices = (
        price("m", 1.0, 2.0, "=cmd()", note="=HYPERLINK(1)"),
        price("<img src=x onerror=alert(1)>", 1.0, 2.0, "</script><script>alert(1)</script>"),
    )
    html = render_html(make_report(prices=prices))
    found = parse(html)
    assert "<script" not in html.lower() and not any(tag == "img" for tag, _ in found.elements)
    assert any(text == "=cmd()" for _, text in found.texts)


def test_a_hostile_name_reaches_heading_title_tables_and_charts_unchanged() -> None:
    page = parse(rendered("hostile"))
    where = {tag for tag, text in page.texts if HOSTILE in text}
    assert {"h1", "title", "p", "pre", "td", "th", "desc"} <= where
    # The chart's label is cut, but neither parsed as a formula nor as markup.
    assert any(tag == "text" and text.startswith("<script>alert(1)</script> $") for tag, text in page.texts)


def test_every_sentence_and_cell_is_on_the_page(page: Page, name: str) -> None:
    told = story(REPORTS[name])
    shown = re.sub(r"[ `]", "", page.text)
    expected = [told.title, told.command or "", *told.answer]
    cells = [cell for table in told.tables for row in table.rows for cell in row]
    expected += [str(cell) for cell in cells if not is_web_link(cell)]
    expected += [part for figure in told.figures for part in (figure.label, figure.value, figure.note)]
    for text in expected:
        assert re.sub(r"[ `]", "", text) in shown


def test_sources_of_prices_become_links() -> None:
    links = parse(rendered("cpu")).all("a")
    assert {link["href"] for link in links} == {"https://groq.com/pricing/"}
    assert all(link["rel"] == "noreferrer" for link in links)


@pytest.mark.parametrize(
    ("cell", "is_link"),
    [
        ("https://groq.com/pricing/", True),
        ("http://host:8080/a?b=c#d", True),
        ("javascript:alert(1)", False),
        ("https://host/ onclick=x", False),
        ("see https://host/", False),
        ("https://", False),
        ("data:text/html,x", False),
        (None, False),
        (3, False),
    ],
)
def test_only_links_of_the_web_are_links(cell: object, is_link: bool) -> None:
    assert is_web_link(cell) is is_link


def test_workings_are_folded_and_the_answer_is_not() -> None:
    html = rendered("cpu")
    assert html.count("<details>") == 1
    folded = html[html.index("<details>") :]
    assert "Terms at 4,096 tokens of context" in folded
    assert html.index('class="answer"') < html.index("<table") < html.index("<details>")


def test_the_page_is_the_same_every_time() -> None:
    report: FullReport = REPORTS["gpu"]
    assert render_html(report) == rendered("gpu")
