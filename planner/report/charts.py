"""The report's charts: memory against capacity, estimate against measurement, cost against volume."""

from planner.report.cost_chart import cost_chart
from planner.report.drawing import Chart
from planner.report.full import FullReport
from planner.report.memory_chart import memory_chart
from planner.report.speed_chart import speed_chart


def charts(report: FullReport) -> tuple[Chart, ...]:
    """The charts that the report has figures for."""
    found = (memory_chart(report), speed_chart(report), cost_chart(report))
    return tuple(chart for chart in found if chart is not None)
