"""Which kernels multiply what, against the rules of the engine's sources."""

from dataclasses import replace

import pytest

from planner.speed.device import SpeedDevice, cpu_device
from planner.speed.kernels import expert_columns, processor_kernel, uses_library
from planner.speed.operators import layout_on_one, prefill_operators
from planner.speed.setting import CURRENT, Setting
from tests.planner.speed.cases import GPU, HOST, dense, mixture

WITH_CORES = replace(GPU, vector_flop_per_s=10e12)
VOLTA = replace(WITH_CORES, architecture="Volta", least_matrix_fraction=1.0)
PASCAL = replace(GPU, architecture="Pascal", vector_flop_per_s=60e12)  # INT8 outside of matrix cores
P100 = replace(GPU, architecture="Pascal", memory_kind="hbm", least_matrix_fraction=1.0)
OLD = Setting(build=2824)


def amd(architecture: str) -> SpeedDevice:
    return replace(WITH_CORES, backend="rocm", architecture=architecture)


@pytest.mark.parametrize(
    ("type_class", "device", "setting", "n_tokens", "library"),
    [
        ("F16", WITH_CORES, CURRENT, 512, True),
        ("Q4_K", WITH_CORES, CURRENT, 512, False),  # turing_mma_available
        ("Q4_K", WITH_CORES, OLD, 512, True),  # before INT8 matrix cores
        ("Q4_K", WITH_CORES, OLD, 32, False),
        ("Q4_K", VOLTA, CURRENT, 512, True),  # FP16 matrix cores only
        ("Q4_K", VOLTA, CURRENT, 63, False),  # MMQ_DP4A_MAX_BATCH_SIZE
        ("Q4_K", PASCAL, CURRENT, 512, False),
        ("Q4_K", P100, CURRENT, 512, True),  # below GGML_CUDA_CC_DP4A
        ("Q4_K", amd("RDNA2"), CURRENT, 512, False),
        ("Q4_K", amd("RDNA3.5"), Setting(build=6077), 512, True),  # before WMMA in tiles
        ("Q4_K", amd("RDNA3.5"), Setting(build=6077), 32, False),
        ("Q4_K", amd("RDNA3.5"), CURRENT, 512, False),
        ("Q6_K", amd("RDNA3.5"), CURRENT, 512, True),
        ("Q6_K", amd("RDNA3.5"), CURRENT, 256, False),
        ("Q4_K", amd("RDNA4"), Setting(build=7423), 512, False),
        ("F16", replace(WITH_CORES, backend="vulkan"), CURRENT, 512, False),
    ],
)
def test_the_library_multiplies_what_tiles_do_not(
    type_class: str, device: SpeedDevice, setting: Setting, n_tokens: int, library: bool
) -> None:
    assert uses_library(type_class, device, setting, n_tokens) is library


def ideal(operator: str, device: SpeedDevice, setting: Setting, n_tokens: int, model: str = "dense") -> float:
    work = dense() if model == "dense" else mixture()
    times = prefill_operators(work, layout_on_one(device, 4), n_tokens, setting=setting)
    return float(sum(time.ideal_s for time in times if time.operator == operator))


def test_the_library_gets_weights_written_out_for_each_micro_batch() -> None:
    # 8e9 elements, written and read as two bytes, at 1 TB/s; twice for two micro-batches.
    assert ideal("write_out", WITH_CORES, OLD, 512) == pytest.approx(8e9 * 4 / 1e12)
    assert ideal("write_out", WITH_CORES, OLD, 1024) == pytest.approx(2 * 8e9 * 4 / 1e12)
    assert ideal("multiply_library", WITH_CORES, OLD, 512) == pytest.approx(2 * 8e9 * 512 / 100e12)
    assert ideal("multiply", WITH_CORES, OLD, 512) == 0
    assert ideal("write_out", WITH_CORES, CURRENT, 512) == 0


def test_an_experts_tile_is_as_wide_as_all_tokens_ask_for() -> None:
    assert expert_columns(WITH_CORES, 512) == 128
    assert expert_columns(WITH_CORES, 32) == 32
    assert expert_columns(replace(WITH_CORES, backend="metal"), 512) == 32
    # One pick in 16 of 512 tokens is 32 for each expert: of 128 columns 96 are wasted, on 4 layers of 4e9
    # elements, all of which 512 tokens reach.
    padding = ideal("multiply_padding", WITH_CORES, CURRENT, 512, "mixture")
    assert padding == pytest.approx(2 * 4 * 4e9 * 96 / 100e12, rel=1e-9)
    # A processor multiplies rows.
    assert ideal("multiply_padding", replace(HOST, backend="cpu"), CURRENT, 512, "mixture") == 0


def test_a_processor_multiplies_by_the_instructions_it_has() -> None:
    def rates(*instruction_sets: str) -> tuple[float, float]:
        device = cpu_device("box", 1e12, 10, beside_gpu=False, instruction_sets=instruction_sets)
        return device.product_flop_per_s("Q4_K"), device.product_flop_per_s("BF16")

    # 10 cores at the nominal 3.5 GHz; Zen 3, Zen 4 and Sapphire Rapids.
    assert rates("avx2", "fma") == pytest.approx((43 * 35e9, 32 * 35e9))
    assert rates("avx2", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16") == pytest.approx(
        (128 * 35e9, 64 * 35e9)
    )
    assert rates("avx2", "avx512_vnni", "amx_int8", "amx_bf16") == pytest.approx((1024 * 35e9, 512 * 35e9))
    assert rates() == rates("avx2")


def test_a_few_threads_do_not_reach_many_channels() -> None:
    def reached(n_threads: int) -> float:
        return cpu_device("box", 204.8e9, n_threads, beside_gpu=False).memory_bytes_per_s

    # A Threadripper PRO 5975WX decoded at 51 GB/s with two threads, of 204.8 GB/s.
    assert (reached(2), reached(32)) == (50e9, 204.8e9)


@pytest.mark.parametrize(
    ("type_class", "instructions", "kernel"),
    [
        ("Q4_0", "avx2", "interleaved"),  # ggml_repack_get_optimal_repack_type: q4_0_8x8
        ("Q4_1", "avx512_vnni", "rows"),  # neither repacked, nor in tinyBLAS, nor in tiles
        ("Q5_0", "avx2", "blocks"),  # llamafile_sgemm
        ("Q5_1", "avx2", "rows"),
        ("Q2_K", "avx512_vnni", "interleaved"),  # q2_K_8x8 asks for AVX-512
        ("Q2_K", "avx2", "tiles"),
        ("Q6_K", "avx_vnni", "tiles"),
        ("Q6_K", "i8mm", "interleaved"),  # q6_K_8x8 on ARM alone
        ("Q5_0", "dotprod", "rows"),
        ("Q4_K", "neon", "rows"),
        ("Q4_1", "amx_int8", "matrix units"),  # qtype_has_amx_kernels
        ("Q5_0", "amx_int8", "blocks"),
        ("F16", "dotprod", "blocks"),
    ],
)
def test_processors_multiply_each_type_its_own_way(type_class: str, instructions: str, kernel: str) -> None:
    assert processor_kernel(type_class, instructions) == kernel


def test_the_fork_unpacks_every_type_first_since_the_summer_of_2025() -> None:
    processor = cpu_device("box", 1e11, 8, beside_gpu=False, instruction_sets=("avx2",))
    new, old = Setting(engine="ik_llama.cpp", build=3759), Setting(engine="ik_llama.cpp", build=3661)

    def classes(setting: Setting, n_tokens: int) -> set[str]:
        times = prefill_operators(dense(), layout_on_one(processor, 4), n_tokens, setting=setting)
        return {time.type_class for time in times if time.operator == "multiply"}

    assert classes(new, 512) == {"unpacked"}
    assert classes(new, 31) == classes(old, 512) == {"Q4_K"}  # is_dequant_better asks for 32 columns
    assert classes(CURRENT, 512) == {"Q4_K"}


def test_padding_is_multiplied_like_tokens_of_its_type() -> None:
    times = prefill_operators(mixture(), layout_on_one(WITH_CORES, 4), 512)
    assert {time.type_class for time in times if time.operator == "multiply_padding"} == {"Q4_K"}


def test_a_processor_widens_fp16_but_not_bf16() -> None:
    # A 7950X multiplies 32 pairs of BF16 an instruction, and FP16 as FP32 in halves of 8 or 16.
    device = cpu_device("box", 1e11, 1, beside_gpu=False, instruction_sets=("avx2", "avx512f", "avx512_bf16"))
    assert device.product_flop_per_s("BF16") == pytest.approx(64 * 3.5e9)
    assert device.product_flop_per_s("F16") == device.product_flop_per_s("F32") == pytest.approx(48 * 3.5e9)
