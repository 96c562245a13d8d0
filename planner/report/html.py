"""The report as one HTML file: no network, no script, readable in light and dark, on paper and on a telephone.

Jinja2 escapes everything that a story holds; only the charts, which escape their own text, go in as they are.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from planner.report.charts import charts
from planner.report.full import FullReport
from planner.report.story import story

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_TEMPLATES = Path(__file__).parent / "templates"
_WEB_LINK = re.compile(r"https?://[A-Za-z0-9.-]+(?::\d{1,5})?(?:[/?#][!-~]*)?")
_CODE = re.compile(r"`([^`]{1,200})`")


def render_html(report: FullReport) -> str:
    """The whole report as one self-contained page."""
    template = _environment().get_template("report.html.j2")
    drawn = {chart.key: chart for chart in charts(report)}
    return f"{template.render(story=story(report), charts=drawn)}\n"


def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=False
    )
    environment.tests["weblink"] = is_web_link
    environment.filters["host"] = _host
    environment.filters["code"] = _code
    return environment


def is_web_link(cell: object) -> bool:
    """Whether a cell is nothing but a link of the web, which is the only kind that becomes a link."""
    return isinstance(cell, str) and _WEB_LINK.fullmatch(cell) is not None


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _code(text: str) -> "Markup":
    """Text escaped, with what stands between backticks set as code."""
    from markupsafe import Markup, escape

    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704  (escaped just before)
