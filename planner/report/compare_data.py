"""A comparison as data, JSON-ready: every option, term, figure, flow and draw, with units in the keys."""

from collections.abc import Iterable
from typing import Any

from hardware.units import TOKENS_PER_MTOK
from planner.compare.comparison import Comparison, Duel, OptionYears
from planner.compare.options import ApiOption, OwnOption
from planner.compare.uncertainty import Risk
from planner.estimate.term import Term
from planner.prices.figure import Figure

Data = dict[str, Any]


def compare_data(found: Comparison) -> Data:
    """Everything that the comparison holds."""
    task = found.task
    return {
        "model": found.model,
        "workload": found.workload.name,
        "verdict": found.verdict,
        "n_months": found.scenario.n_months,
        "tokens_per_month": found.tokens_per_month,
        "task": {
            "n_calls": task.n_calls,
            "prompt_tokens": task.tokens.prompt,
            "cached_tokens": task.tokens.cached,
            "thinking_tokens": task.tokens.thinking,
            "output_tokens": task.tokens.output,
        },
        "load": {
            "tasks_per_month": found.scenario.load.tasks_per_month,
            "peak_to_average": found.scenario.load.peak_to_average,
            "hour_weights": [list(pair) for pair in found.scenario.load.hour_weights],
        },
        "constraints": {
            "custody": found.constraints.custody,
            "regions": list(found.constraints.regions),
            "most_upfront_usd": found.constraints.most_upfront_usd,
        },
        "options": [option_data(option, found) for option in found.options],
        "excluded": [{"name": one.name, "reason": one.reason} for one in found.excluded],
        "duels": [duel_data(duel) for duel in found.duels],
        "figures": figures_data(found.scenario.figures.values()),
        "notes": list(found.notes),
    }


def option_data(option: OptionYears, found: Comparison) -> Data:
    """One option: its month with all terms, its flow."""
    month = option.month
    return {
        "name": month.name,
        "kind": month.kind,
        "usd_per_month": month.usd,
        "usd_per_task": month.usd_per_task,
        "usd_per_request": month.usd_per_task / found.task.n_calls,
        "usd_per_mtok": month.usd / found.tokens_per_month * TOKENS_PER_MTOK,
        "n_units": month.n_units,
        "n_machines": month.n_machines,
        "own_tasks_per_month": month.own_tasks,
        "api_tasks_per_month": month.api_tasks,
        "capacity_tasks_per_month": month.capacity,
        "utilisation_fraction": month.utilisation,
        "existing_hours_per_month": month.existing_hours,
        "busy_hours_per_month": month.busy_hours,
        "own_usd_per_month": month.own_usd,
        "usd_per_existing_machine_hour": month.usd_per_existing_hour,
        "usd_per_busy_machine_hour": month.usd_per_busy_hour,
        "terms": terms_data(month.terms),
        "flow": {
            "out_usd_by_month": list(option.flow.out_usd),
            "back_usd": option.flow.back_usd,
            "n_units_by_month": list(option.flow.n_units),
            "npv_usd": option.flow.npv_usd,
            "total_usd": option.flow.total_usd,
        },
        "cover": option.cover,
        "own": None if month.own is None else own_data(month.own),
        "api": None if month.api is None else api_data(month.api),
    }


def own_data(option: OwnOption) -> Data:
    """Machines under a deal."""
    return {
        "machine": option.machine,
        "deal": option.deal,
        "site": option.site,
        "layout": option.layout,
        "machines_per_unit": option.machines_per_unit,
        "n_spare_machines": option.n_spare_machines,
        "follows_load": option.follows_load,
        "figures": figures_data(option.specific.values()),
        "notes": list(option.notes),
    }


def api_data(option: ApiOption) -> Data:
    """A model at a provider."""
    return {
        "provider": option.provider,
        "model": option.model,
        "processing": option.processing,
        "same_weights": option.same_weights,
        "region": option.region,
        "volume_tiers": [list(tier) for tier in option.volume_tiers],
        "task_terms": terms_data(option.task_terms),
        "figures": figures_data(option.specific.values()),
        "notes": list(option.notes),
    }


def duel_data(duel: Duel) -> Data:
    """A way of owning against the cheapest API."""
    return {
        "own": duel.own.name,
        "api": duel.api.name,
        "usd_saved": duel.usd_saved,
        "first_break_even_tasks_per_month": duel.break_even.first_tasks,
        "lasting_break_even_tasks_per_month": duel.break_even.for_good_tasks,
        "break_even_utilisation_fraction": duel.break_even_utilisation,
        "cheaper_from_month": duel.cheaper_from_month,
        "paid_back_month": duel.paid_back_month,
        "spare_worth_usd_per_month": duel.spare_worth_usd,
        "risk": risk_data(duel.risk),
    }


def risk_data(risk: Risk) -> Data:
    """What the drawn cases say."""
    return {
        "seed": risk.seed,
        "n_cases": risk.n_cases,
        "probability_own_cheaper": risk.probability_own_cheaper,
        "difference_usd_10_50_90": list(risk.difference_usd),
        "expected_difference_usd": risk.expected_difference_usd,
        "break_even_tasks_per_month_10_50_90": list(risk.break_even_tasks),
        "probability_never": risk.probability_never,
        "swings": [
            {
                "figure": swing.figure,
                "owner": swing.owner,
                "low": swing.low,
                "high": swing.high,
                "unit": swing.unit,
                "usd_at_low": swing.usd_at_low,
                "usd_at_high": swing.usd_at_high,
            }
            for swing in risk.swings
        ],
    }


def terms_data(terms: Iterable[Term]) -> list[Data]:
    """Terms with their sources."""
    return [
        {
            "name": term.name,
            "usd": term.value,
            "basis": term.basis.value,
            "source": term.source,
            "as_of": term.as_of,
        }
        for term in terms
    ]


def figures_data(figures: Iterable[Figure]) -> list[Data]:
    """Figures with their bounds and sources."""
    return [
        {
            "name": figure.name,
            "value": figure.value,
            "low": figure.low,
            "high": figure.high,
            "unit": figure.unit,
            "basis": figure.basis.value,
            "source": figure.source,
            "as_of": figure.as_of,
            "note": figure.note,
        }
        for figure in figures
    ]
