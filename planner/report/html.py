"""The report as one HTML file: no network, no script, readable in light and dark, on paper and on a telephone.

Jinja2 escapes everything that a story holds; only the charts, which escape their own text, go in as they are.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from planner.report.charts import charts
from planner.report.drawing import Chart
from planner.report.full import FullReport
from planner.report.story import Story, story

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_TEMPLATES = Path(__file__).parent / "templates"
_WEB_LINK = re.compile(r"https?://[A-Za-z0-9.-]+(?::\d{1,5})?(?:[/?#][!-~]*)?")
_LONGEST_WORD = 28
# A number stays on the line of its unit.
_TIED = re.compile(r"(?<=\d) (?=[%±]|[KMGT]iB\b|GB\b|tok/s)|(?<=±) (?=\d)")
_CODE = re.compile(r"`([^`]{1,200})`")
_OPTION = re.compile(r"(?<![^\s(])--[a-z][a-z-]{1,40}(?![\w-])")


def render_html(report: FullReport) -> str:
    """The whole report as one self-contained page."""
    return render_story(story(report), {chart.key: chart for chart in charts(report)})


def render_story(told: Story, drawn: Mapping[str, Chart]) -> str:
    """A story with its charts, by the keys that its sections name, as one self-contained page."""
    template = _environment().get_template("report.html.j2")
    return f"{template.render(story=told, charts=drawn)}\n"


def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=False
    )
    environment.tests["weblink"] = is_web_link
    environment.tests["long"] = _has_long_word
    environment.filters["host"] = _host
    environment.filters["code"] = _code
    return environment


def is_web_link(cell: object) -> bool:
    """Whether a cell is nothing but a link of the web, which is the only kind that becomes a link."""
    return isinstance(cell, str) and _WEB_LINK.fullmatch(cell) is not None


def _has_long_word(cell: object) -> bool:
    """Whether a word is so long that it has to be broken lest it push the other columns out."""
    return isinstance(cell, str) and any(len(word) > _LONGEST_WORD for word in cell.split())


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _code(text: str) -> "Markup":
    """Text escaped, numbers tied to their units; options like --json and what is in backticks become code."""
    from markupsafe import Markup, escape

    tied = _TIED.sub("\u00a0", str(escape(text)))
    marked = _OPTION.sub(r'<code class="option">\g<0></code>', _CODE.sub(r"<code>\1</code>", tied))
    return Markup(marked)  # noqa: S704  (escaped just before)
