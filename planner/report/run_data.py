"""A benchmark run as data, with every repetition's time."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from planner.estimate.measurement import BenchRun, EngineMemory, Measurement

Data = dict[str, Any]


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
        "is_mixture": run.is_mixture,
        "conditions": None if run.conditions is None else asdict(run.conditions),
        "synthetic": None if run.synthetic is None else asdict(run.synthetic),
        "notes": list(run.notes),
    }


def _measurement(measured: Measurement) -> Data:
    return {
        "test": measured.name,
        "n_repetitions": len(measured.samples_s),
        "phase": measured.phase,
        "n_prompt_tokens": measured.n_prompt_tokens,
        "n_generated_tokens": measured.n_generated_tokens,
        "n_depth_tokens": measured.n_depth_tokens,
        "n_sequences": measured.n_sequences,
        "n_threads": measured.n_threads,
        "samples_s": list(measured.samples_s),
        "cpu_s": list(measured.cpu_s),
        "energy_j": measured.energy_j,
        "joules_per_token": measured.joules_per_token,
        "low_s": measured.low_s,
        "high_s": measured.high_s,
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
