"""The report as data: every number with its unit in the key, every term with its basis and source."""

from datetime import date
from typing import Any

from hardware.machine_json import machine_to_json_data
from planner.report.estimate_data import fit_row_data
from planner.report.estimate_terms import interval_data
from planner.report.findings import headline, memory_checks, money, speed_checks
from planner.report.full import FullReport, PricedApi
from planner.report.model_data import model_data
from planner.report.run_data import run_data
from planner.report.story import story

SCHEMA = "planner.report/2"  # 2: the model is described as `planner model` does

Data = dict[str, Any]


def report_data(report: FullReport) -> Data:
    """Everything the report knows, ready for JSON; null is unknown."""
    told = story(report)
    return {
        "schema": SCHEMA,
        "made_at": report.made_at,
        "planner_version": report.planner_version,
        "title": told.title,
        "answer": list(told.answer),
        "command": list(headline(report).command) if headline(report).placement.fits else None,
        "machine": machine_to_json_data(report.machine),
        "model": model_data(report.opened, report.before.model.storage),
        "estimate_before_benchmark": fit_row_data(report.before),
        "estimates": [fit_row_data(row) for row in report.rows],
        "benchmark": None if report.run is None else run_data(report.run),
        "speed_checks": [
            {
                "name": check.name,
                "phase": check.phase,
                "predicted_tokens_per_s": interval_data(check.predicted),
                "why_not_predicted": check.why_not_predicted,
                "measured_tokens_per_s": None
                if check.measured is None
                else {
                    "mean": check.measured.mean_tokens_per_s,
                    "stddev": check.measured.stddev_tokens_per_s,
                    "n": len(check.measured.samples_s),
                },
                "measured_over_expected": check.ratio,
                "inside_80_percent_interval": check.held,
            }
            for check in speed_checks(report)
        ],
        "memory_checks": [
            {
                "component": check.component,
                "estimated_bytes": check.predicted_bytes,
                "engine_reported_bytes": check.reported_bytes,
            }
            for check in memory_checks(report)
        ],
        "workload": {
            "tokens_per_month": report.tokens_per_month,
            "output_fraction": report.output_fraction,
        },
        "cost": _cost_data(report),
        "apis": [_api_data(api) for api in report.apis],
        "notes": list(report.notes),
    }


def _cost_data(report: FullReport) -> Data:
    found = money(report)
    return {
        "cheapest_api": None if found.cheapest is None else _api_data(found.cheapest),
        "cheapest_api_is_same_model": found.cheapest_is_same_model,
        "capacity_tokens_per_month": found.capacity_tokens_per_month,
        "n_machines": found.n_machines,
        "break_even_usd_per_month": found.break_even_usd_per_month,
        "full_break_even_usd_per_month": found.full_break_even_usd_per_month,
        "own_usd_per_month_of_one": report.own_usd_per_month,
        "own_usd_per_month_of_all": found.own_usd_per_month,
        "own_cost_note": report.own_cost_note,
        "break_even_tokens_per_month": found.break_even_tokens_per_month,
    }


def _api_data(api: PricedApi) -> Data:
    price = api.price
    return {
        "provider": price.provider,
        "model_id": price.model_id,
        "model_name": price.model_name,
        "usd_per_month": api.usd_per_month,
        "input_usd_per_mtok": price.input_usd_per_mtok,
        "output_usd_per_mtok": price.output_usd_per_mtok,
        "cached_input_usd_per_mtok": price.cached_input_usd_per_mtok,
        "context_tokens": price.context_tokens,
        "note": price.note,
        "source": price.source,
        "data_date": _day(price.data_date),
        "prices_checked": _day(price.prices_checked),
        "url": price.url,
        "is_deprecated": price.is_deprecated,
    }


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
