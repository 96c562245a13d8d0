"""`planner report` as a document, for the terminal's other formats."""

from planner.report.document import Document
from planner.report.full import FullReport
from planner.report.full_data import SCHEMA, report_data
from planner.report.story import story


def report_document(report: FullReport) -> Document:
    """The report's sentences and tables, and all its data."""
    told = story(report)
    return Document(
        schema=SCHEMA,
        title=told.title,
        answer=told.answer,
        tables=told.tables,
        notes=report.notes,
        data={key: value for key, value in report_data(report).items() if key != "schema"},
    )
