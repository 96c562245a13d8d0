"""The files of a report on own machines against APIs, all made from the one that is kept."""

import json
from collections.abc import Mapping
from typing import Any

from planner.cli.render import as_csv
from planner.report.costs.page import costs_page, costs_story
from planner.report.costs.saved import saved_report
from planner.report.markdown import render_story_markdown


def costs_files(kept: Mapping[str, Any], source: str = "the report") -> dict[str, str]:
    """File names and their contents; raises MalformedError for data that are no report."""
    text = json.dumps(kept, indent=1, allow_nan=False) + "\n"
    report = saved_report(json.loads(text), source)
    return {
        "compare.html": costs_page(report),
        "compare.md": render_story_markdown(costs_story(report)),
        "compare.csv": as_csv(report.document) + "\n",
        "compare.json": text,
    }
