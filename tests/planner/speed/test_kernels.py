"""Which kernels multiply what, against the rules of the engine's sources."""

from dataclasses import replace

import pytest

from planner.speed.device import SpeedDevice, cpu_device
from planner.speed.kernels import NATIVE_FP4, expert_columns, multiplied_as, processor_kernel, uses_library
from planner.speed.operator_time import Sums
from planner.speed.operators import layout_on_one, prefill_operators
from planner.speed.products import add_product
from planner.speed.setting import CURRENT, Setting
from planner.speed.work import ClassWeights
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
    assert expert_columns(WITH_CORES, CURRENT, 512) == 128
    assert expert_columns(WITH_CORES, CURRENT, 32) == 32
    assert expert_columns(replace(WITH_CORES, backend="metal"), CURRENT, 512) == 32
    # One pick in 16 of 512 tokens is 32 for each expert: of 128 columns of every expert that is reached the rest is
    # wasted, on 4 layers of 4e9 elements.
    reached = 1 - (15 / 16) / (1 + 511 / 16)
    padding = ideal("multiply_padding", WITH_CORES, CURRENT, 512, "mixture")
    assert padding == pytest.approx(2 * 4 * 4e9 * (128 * reached - 32) / 100e12, rel=1e-9)
    # A processor multiplies rows.
    assert ideal("multiply_padding", replace(HOST, backend="cpu"), CURRENT, 512, "mixture") == 0


def test_an_experts_tile_followed_all_picks_before() -> None:
    # Hunyuan-A13B, 8 of 64 experts, on a Strix Halo at build 6077: 0.24 s for 4 tokens (32 picks), 0.89 s for 8, and no
    # more columns from there on: 1.43 s for 32, whose experts are 1.5 times as many.
    old, card = Setting(build=6077), amd("RDNA3.5")
    assert [expert_columns(card, old, n, 8, 64) for n in (1, 4, 8, 32)] == [8, 32, 64, 64]
    assert expert_columns(amd("RDNA4"), Setting(build=7423), 512, 8, 128) == 128
    # Lately by an average expert's: 512 · 8 / 128.
    assert expert_columns(amd("RDNA4"), CURRENT, 512, 8, 128) == 32
    assert expert_columns(amd("CDNA3"), CURRENT, 512, 8, 128) == 128


def test_fp4_is_multiplied_as_such_on_blackwell() -> None:
    blackwell = replace(WITH_CORES, architecture="Blackwell")
    assert multiplied_as("FP4", blackwell, CURRENT) == NATIVE_FP4
    assert multiplied_as("FP4", blackwell, Setting(build=6413)) == "FP4"
    assert multiplied_as("FP4", WITH_CORES, CURRENT) == "FP4"
    assert multiplied_as("Q4_K", blackwell, CURRENT) == "Q4_K"


def test_one_experts_product_leaves_units_idle() -> None:
    # 64 experts of 512 · 1,024 elements, called one by one: 4 tiles of 128 rows for about 64 columns each of 32 tokens.
    device = replace(amd("RDNA3.5"), vector_flop_per_s=20 * 0.37e12, matrix_flop_per_s=50e12)
    weight = ClassWeights(
        type_class="Q4_K", is_expert=True, active_fraction=1 / 16, n_bytes=1e7, n_elements=64 * 512 * 1024,
        n_matrices=64, n_experts=64, n_rows=64 * 512,
    )  # fmt: skip

    def idle(setting: Setting, rows: int = 512) -> float:
        sums = Sums()
        work = replace(weight, n_rows=64 * rows, n_elements=64 * rows * 1024)
        add_product(sums, device, 0, work, 1e7, 512, 1.0, setting)
        return float(sum(time.ideal_s for time in sums.times() if time.operator == "multiply_idle"))

    old = Setting(build=6077)
    reached = 1 - (15 / 16) / (1 + 511 / 16)
    each = 32 / reached
    assert idle(old) == pytest.approx(64 * reached * 2 * (20 - 4) * 128 * each * 1024 / 50e12)
    assert idle(old, rows=4096) == 0  # 32 tiles for 20 units
    assert idle(CURRENT) == 0  # all experts in one call


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
