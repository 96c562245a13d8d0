"""A machine as data: every number with its unit in the key."""

from typing import Any

from hardware.spec import Accelerator, Cpu, Gpu, Machine, MeasuredRate, Memory

Data = dict[str, Any]


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
