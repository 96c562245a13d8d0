"""The report as data: every number with its unit in the key, every term with its basis and source."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from hardware.spec import Accelerator, Cpu, Gpu, Machine, MeasuredRate, Memory
from planner.estimate.fit import FitRow
from planner.estimate.measurement import BenchRun, EngineMemory, Measurement
from planner.estimate.memory import DeviceLoad
from planner.estimate.speed import SpeedEstimate
from planner.estimate.term import Interval, Term
from planner.model.network import Network
from planner.model.storage import Storage
from planner.report.findings import headline, memory_checks, money, speed_checks
from planner.report.full import FullReport, PricedApi
from planner.report.story import story

SCHEMA = "planner.report/1"

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
        "machine": machine_data(report.machine),
        "model": _model_data(report),
        "estimate_before_benchmark": fit_data(report.before),
        "estimates": [fit_data(row) for row in report.rows],
        "benchmark": None if report.run is None else run_data(report.run),
        "speed_checks": [
            {
                "name": check.name,
                "phase": check.phase,
                "predicted_tokens_per_s": _interval(check.predicted),
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
            "tokens_per_month": report.workload.tokens_per_month,
            "output_fraction": report.workload.output_fraction,
        },
        "cost": _cost_data(report),
        "apis": [_api_data(api) for api in report.apis],
        "notes": list(report.notes),
    }


def machine_data(machine: Machine) -> Data:
    """A machine with its devices."""
    return {
        "name": machine.name,
        "described": machine.described,
        "os": machine.os,
        "cpu": None if machine.cpu is None else _cpu(machine.cpu),
        "memory": None if machine.memory is None else _memory(machine.memory),
        "gpus": [_gpu(gpu) for gpu in machine.gpus],
        "gpu_driver": machine.gpu_driver,
        "memory_bandwidth_bytes_per_s": _rate(machine.memory_bandwidth),
        "matrix_throughput_flop_per_s": _rate(machine.matrix_throughput),
        "stated_memory_bytes_per_s": machine.cpu_memory_bytes_per_s,
        "stated_memory_basis": machine.cpu_memory_basis,
        "problems": list(machine.problems),
    }


def _cpu(cpu: Cpu) -> Data:
    return {
        "model": cpu.model,
        "n_sockets": cpu.n_sockets,
        "n_physical_cores": cpu.n_physical_cores,
        "n_usable_threads": cpu.n_usable_threads,
        "instruction_sets": list(cpu.instruction_sets),
        "cache_l3_bytes": cpu.cache_l3_bytes,
        "max_hz": cpu.max_hz,
    }


def _memory(memory: Memory) -> Data:
    return {
        "total_bytes": memory.total_bytes,
        "available_bytes": memory.available_bytes,
        "limit_bytes": memory.limit_bytes,
        "limit_source": memory.limit_source,
        "swap_total_bytes": memory.swap_total_bytes,
        "usable_bytes": memory.usable_bytes,
    }


def _gpu(gpu: Gpu) -> Data:
    return {
        "index": gpu.index,
        "name": gpu.name,
        "uuid": gpu.uuid,
        "backend": gpu.backend,
        "memory_bytes": gpu.memory_bytes,
        "free_bytes": gpu.free_bytes,
        "reserved_bytes": gpu.reserved_bytes,
        "compute_capability": gpu.compute_capability,
        "power_limit_w": gpu.power_limit_w,
        "mig_profile": gpu.mig_profile,
        "problem": gpu.problem,
        "accelerator": None if gpu.accelerator is None else _accelerator(gpu.accelerator),
    }


def _accelerator(accelerator: Accelerator) -> Data:
    return {
        "id": accelerator.id,
        "name": accelerator.name,
        "vendor": accelerator.vendor,
        "architecture": accelerator.architecture,
        "memory_bytes": accelerator.memory_bytes,
        "memory_basis": accelerator.memory_basis,
        "memory_bytes_per_s": accelerator.memory_bytes_per_s,
        "dense_flop_per_s": dict(accelerator.dense_flop_per_s),
        "power_w": accelerator.power_w,
        "unified_memory": accelerator.unified_memory,
        "memory_type": accelerator.memory_type,
        "compute_capability": accelerator.compute_capability,
        "link_bytes_per_s": accelerator.link_bytes_per_s,
        "status": accelerator.status,
        "source": accelerator.source,
    }


def _rate(rate: MeasuredRate | None) -> Data | None:
    if rate is None:
        return None
    return {
        "per_s": rate.per_s,
        "method": rate.method,
        "n_threads": rate.n_threads,
        "n_samples": rate.n_samples,
        "spread_fraction": rate.spread_fraction,
        "measured_at": rate.measured_at,
    }


def _model_data(report: FullReport) -> Data:
    opened, model = report.opened, report.before.model
    return {
        "name": opened.name,
        "reference": opened.reference,
        "source": opened.source,
        "path": None if opened.path is None else str(opened.path),
        "fingerprint": opened.fingerprint,
        "header_bytes": opened.header_bytes,
        "n_files": opened.n_files,
        "stored_elements": opened.stored_elements,
        "stored_bytes": opened.stored_bytes,
        "licence": opened.licence,
        "network": _network(model.network),
        "storage": _storage(model.storage),
        "notes": list(opened.notes),
    }


def _network(network: Network) -> Data:
    parameters = network.parameters
    return {
        "architecture": network.architecture,
        "n_layers": network.n_layers,
        "hidden_size": network.hidden_size,
        "vocab_size": network.vocab_size,
        "tied_embeddings": network.tied_embeddings,
        "context_tokens": network.context_tokens,
        "parameters": {
            "total": parameters.total,
            "text": parameters.text,
            "mtp": parameters.mtp,
            "towers": parameters.towers,
            "active": parameters.active,
        },
        "layer_groups": [
            {
                "kind": group.kind,
                "layers": list(group.layers),
                "parameters_per_layer": sum(w.parameters for w in group.weights(network.hidden_size)),
            }
            for group in network.groups
        ],
        "towers": [{"name": tower.name, "parameters": tower.parameters} for tower in network.towers],
        "notes": list(network.notes),
    }


def _storage(storage: Storage) -> Data:
    by_type: dict[str, Data] = {}
    for weight in storage.weights:
        found = by_type.setdefault(weight.type_name, {"n_tensors": 0, "n_elements": 0, "n_bytes": 0})
        found["n_tensors"] += 1
        found["n_elements"] += weight.n_elements
        found["n_bytes"] += weight.n_bytes
    return {
        "label": storage.label,
        "predicted": storage.predicted,
        "file_bytes": storage.file_bytes,
        "total_bytes": storage.total_bytes,
        "n_elements": storage.n_elements,
        "bits_per_weight": storage.bits_per_weight,
        "read_bytes_per_token": storage.read_bytes_per_token,
        "by_type": by_type,
    }


def fit_data(row: FitRow) -> Data:
    """One estimate: where the model lies, how fast it is there, and the terms of both."""
    placement = row.placement
    flags = placement.flags
    return {
        "model": row.model.name,
        "quantization": row.model.storage.label,
        "fits": placement.fits,
        "placement": placement.kind,
        "n_gpu_layers": placement.split.n_gpu_layers,
        "n_cpu_moe": placement.split.n_cpu_moe,
        "n_context_tokens": flags.n_context_tokens,
        "n_batch": flags.n_batch,
        "n_ubatch": flags.n_ubatch,
        "n_sequences": flags.n_sequences,
        "k_type": flags.k_type,
        "v_type": flags.v_type,
        "flash_attention": flags.flash_attention,
        "needed_bytes": placement.needed_bytes,
        "largest_context_tokens": row.largest_context_tokens,
        "devices": [_load(load) for load in placement.loads],
        "decode": _speed(row.decode),
        "decode_full": _speed(row.decode_full),
        "prefill": _speed(row.prefill),
        "command": list(row.command),
    }


def _load(load: DeviceLoad) -> Data:
    return {
        "name": load.device.name,
        "is_gpu": load.device.is_gpu,
        "shares_ram": load.device.shares_ram,
        "capacity_bytes": load.device.capacity_bytes,
        "needed_bytes": load.needed_bytes,
        "left_bytes": load.free_bytes,
        "terms": [_term(term) for term in load.terms],
    }


def _term(term: Term) -> Data:
    return {
        "name": term.name,
        f"value_{term.unit}": term.value,
        "basis": term.basis,
        "source": term.source,
    }


def _speed(estimate: SpeedEstimate) -> Data:
    return {
        "tokens_per_s": _interval(estimate.tokens_per_s),
        "limited_by": estimate.limited_by,
        "missing": estimate.missing,
        "terms": [_term(term) for term in estimate.terms],
    }


def _interval(found: Interval | None) -> Data | None:
    if found is None:
        return None
    return {
        "low": found.low,
        "expected": found.expected,
        "high": found.high,
        "basis": found.basis,
        "source": found.source,
    }


def run_data(run: BenchRun) -> Data:
    """One benchmark with every repetition's time."""
    return {
        "model_name": run.model_name,
        "model_path": run.model_path,
        "model_fingerprint": run.model_fingerprint,
        "model_bytes": run.model_bytes,
        "n_parameters": run.n_parameters,
        "quantization": run.quantization,
        "engine": run.engine,
        "engine_build": run.engine_build,
        "backend": run.backend,
        "machine_fingerprint": run.machine_fingerprint,
        "machine_name": run.machine_name,
        "n_threads": run.n_threads,
        "n_gpu_layers": run.n_gpu_layers,
        "n_batch": run.n_batch,
        "n_ubatch": run.n_ubatch,
        "n_context_tokens": run.n_context_tokens,
        "kv_type": run.kv_type,
        "flash_attention": run.flash_attention,
        "measured_at": run.measured_at,
        "measurements": [_measurement(measured) for measured in run.measurements],
        "memory": None if run.memory is None else _engine_memory(run.memory),
        "read_bytes_per_token": run.read_bytes_per_token,
        "matmul_parameters_per_token": run.matmul_parameters_per_token,
        "notes": list(run.notes),
    }


def _measurement(measured: Measurement) -> Data:
    return {
        "name": measured.name,
        "phase": measured.phase,
        "n_prompt_tokens": measured.n_prompt_tokens,
        "n_generated_tokens": measured.n_generated_tokens,
        "n_depth_tokens": measured.n_depth_tokens,
        "samples_s": list(measured.samples_s),
        "mean_tokens_per_s": measured.mean_tokens_per_s,
        "stddev_tokens_per_s": measured.stddev_tokens_per_s,
        "quartile_tokens_per_s": measured.quartile_tokens_per_s,
        "best_tokens_per_s": measured.best_tokens_per_s,
    }


def _engine_memory(memory: EngineMemory) -> Mapping[str, int]:
    return {
        "weights_bytes": memory.weights_bytes,
        "kv_bytes": memory.kv_bytes,
        "state_bytes": memory.state_bytes,
        "compute_bytes": memory.compute_bytes,
        "output_bytes": memory.output_bytes,
        "total_bytes": memory.total_bytes,
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
