"""Our terms beside the engine's: which of its buffers belong to which of our devices."""

from dataclasses import replace

from hardware.described import describe_machine
from hardware.units import GIB
from planner.engines.llama_cpp import LlamaCppFlags
from planner.estimate.described_model import DescribedModel
from planner.estimate.engine_comparison import compare
from planner.estimate.engine_plan import EngineFailure, EnginePlan, PlannedBuffer
from planner.estimate.fit import FitRow, fit_row
from planner.estimate.speed import SpeedFacts
from planner.model.presets import preset_storage
from planner.readers.open_model import open_model

PLAN = EnginePlan(
    buffers=(
        PlannedBuffer(name="CUDA0", gpu=0, weights_bytes=10, kv_bytes=20, state_bytes=0, compute_bytes=4),
        PlannedBuffer(name="CUDA1", gpu=1, weights_bytes=100, kv_bytes=200, state_bytes=0, compute_bytes=40),
        PlannedBuffer(name="CPU", gpu=None, weights_bytes=7, kv_bytes=0, state_bytes=0, compute_bytes=0),
        PlannedBuffer(name="CUDA_Host", gpu=None, weights_bytes=0, kv_bytes=0, state_bytes=0, compute_bytes=2),
    ),
    output_bytes=5, n_context_tokens=4096, flash_attention=True, n_copies=4, n_splits=(3, 3), n_nodes=(9, 9),
    model_bytes=117, n_parameters=12, n_layers=2, planning_s=0.1, engine_build="B",
)  # fmt: skip


def row(machine: str) -> FitRow:
    network = open_model("qwen3-8b").network
    model = DescribedModel(name="m", network=network, storage=preset_storage(network, "Q4_K_M"))
    flags = LlamaCppFlags(n_context_tokens=4096)
    return fit_row(model, describe_machine(machine), flags, SpeedFacts())


def test_each_buffer_is_counted_on_one_device() -> None:
    found = compare(row("2x RTX 4090, 64GiB DDR5-5600"), PLAN)
    sums = {device.name: device.engine_bytes for device in found.devices}
    assert sums == {"GPU 0": 34, "GPU 1": 340, "RAM": 7 + 2 + 5}
    for device in found.devices:
        assert device.ours_bytes == sum(term.ours_bytes for term in device.terms)
        for term in device.terms:
            assert term.difference_bytes == term.ours_bytes - term.engine_bytes


def test_ours_is_all_of_ours() -> None:
    placed = row("2x RTX 4090, 64GiB DDR5-5600")
    for device, load in zip(compare(placed, PLAN).devices, placed.placement.loads, strict=True):
        assert device.ours_bytes + device.not_in_engine_bytes == load.needed_bytes
        assert (device.not_in_engine_bytes > 0) == (
            load.device.is_gpu and bool(load.terms)
        )  # the driver's share


def test_unified_memory_holds_the_systems_buffers_too() -> None:
    plan = replace(PLAN, buffers=tuple(buffer for buffer in PLAN.buffers if buffer.gpu != 1))
    (device,) = compare(row("Apple M3 Max (40-core GPU) 64GB"), plan).devices
    assert device.engine_bytes == 34 + 7 + 2 + 5


def test_a_failure_has_no_devices() -> None:
    failure = EngineFailure(problem="crashed")
    found = compare(row("RTX 4090, 64GiB DDR5-5600"), failure)
    assert (found.devices, found.answer) == ((), failure)
    assert found.row.placement.loads[0].device.capacity_bytes <= 24 * GIB
