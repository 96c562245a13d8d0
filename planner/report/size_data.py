"""A plan as data, for `planner size --format json`."""

from typing import Any

from planner.report.estimate_terms import interval_data
from planner.sizing.option import Option, Plan


def plan_data(plan: Plan) -> dict[str, Any]:
    """All of it; loads are in the unit that stands beside them."""
    return {
        "model": plan.model,
        "workload": plan.workload.name,
        "objectives": [str(one) for one in plan.workload.objectives],
        "goal": plan.goal,
        "unit": plan.unit,
        "peak": plan.peak,
        "average": plan.average,
        "sized_for": plan.sized_for,
        "n_spare_machines": plan.n_spare_machines,
        "budget_usd_per_month": plan.usd_per_month,
        "n_machines_looked_at": plan.n_machines_looked_at,
        "n_layouts": plan.n_layouts,
        "n_simulated": plan.n_simulated,
        "options": [_option_data(option) | {"is_on_front": option in plan.front} for option in plan.options],
        "rejections": [
            {"machine": one.machine, "engine": one.engine, "layout": one.layout, "stage": one.stage, "reason": one.reason}
            for one in plan.rejections
        ],
        "notes": list(plan.notes),
    }  # fmt: skip


def _option_data(option: Option) -> dict[str, Any]:
    offer, layout = option.offer, option.layout
    return {
        "machine": offer.description,
        "accelerator": offer.accelerator,
        "n_gpus_per_machine": offer.n_gpus,
        "deal": offer.deal,
        "usd_per_machine_hour": interval_data(offer.usd_per_hour),
        "n_machines": option.n_machines,
        "n_spare_machines": option.n_spare_machines,
        "replicas_per_machine": option.replicas_per_machine,
        "n_replicas": option.n_replicas,
        "n_gpus": option.n_gpus,
        "engine": layout.engine,
        "engine_version": layout.engine_version,
        "checkpoint": layout.checkpoint,
        "storage": layout.storage,
        "quantization": layout.quantization,
        "tensor_parallel": layout.parallel.tensor,
        "pipeline_parallel": layout.parallel.pipeline,
        "expert_parallel": layout.parallel.expert,
        "attention_replicas": layout.parallel.attention_replicas,
        "max_model_len": layout.max_model_len,
        "max_sequences": layout.max_sequences,
        "max_batched_tokens": layout.max_batched_tokens,
        "kv_tokens": layout.kv_tokens,
        "command": list(layout.command),
        "capacity_per_replica": option.capacity_per_replica,
        "capacity": option.capacity,
        "capacity_limit": option.capacity_limit,
        "peak": option.peak,
        "average": option.average,
        "utilisation_at_peak": option.utilisation_at_peak,
        "utilisation_at_average": option.utilisation_at_average,
        "headroom": option.headroom,
        "seen": [
            {
                "objective": str(one.objective),
                "measure": one.objective.measure,
                "quantile": one.objective.quantile,
                "limit_s": one.objective.limit_s,
                "seconds": interval_data(one.seconds),
            }
            for one in option.seen
        ],
        "usd_per_month": interval_data(option.usd_per_month),
        "hours_per_month": option.hours_per_month,
        "power_w": option.power_w,
        "is_measured": option.is_measured,
    }
