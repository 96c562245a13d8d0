"""Which of its ways of multiplying matrices llama.cpp takes: by type, device, age of the build and tokens at once.

On NVIDIA's and AMD's cards quantized weights are multiplied as they are, in tiles of INT8, or are first written out
as FP16 for the vendor's library (`ggml_cuda_should_use_mmq` in mmq.cu). Other backends unpack inside the kernel.
On processors some types lie interleaved in memory for kernels that multiply eight rows at once, others are unpacked
into tiles or multiplied in small blocks, and the rest row by row with each token (ggml-cpu of October 2026: repack.cpp,
tiled.cpp, llamafile/sgemm.cpp).
"""

from typing import Literal

from planner.speed.device import SpeedDevice
from planner.speed.setting import Setting
from planner.speed.work import ClassWeights

ProcessorKernel = Literal["interleaved", "tiles", "blocks", "rows", "matrix units"]

# The class of weights that are turned into rows of INT8 first, whatever their type.
UNPACKED = "unpacked"
# Types that a library multiplies as they are.
WHOLE_TYPES = frozenset(("F16", "BF16", "F32"))
# FP4 multiplied as FP4 on Blackwell, and the build from which it is (#17906).
NATIVE_FP4 = "native FP4"
_NATIVE_FP4 = 7530
# Tokens at once up to which tiles are used where a library is faster (MMQ_DP4A_MAX_BATCH_SIZE).
_FEW_TOKENS = 64
# Builds from which tiles run on the matrix cores of AMD's architectures (llama.cpp #14624, #17156, #17576).
_TILES_ON_MATRIX_CORES = {"CDNA3": 5995, "RDNA4": 7140, "RDNA3": 7280, "RDNA3.5": 7280}
# Types whose tiles stay slower than the library on RDNA3 from so many tokens on.
_LIBRARY_FROM = {"Q2_K": 128, "Q6_K": 256, "IQ2": 128}
# Builds from which up to 8 tokens' experts go through the kernels for vectors on CUDA, ROCm and Vulkan.
_VECTOR_EXPERTS = 7700
# Builds from which an expert's tile is chosen by the tokens at once rather than by their picks (#15525), and on these
# architectures by the tokens of an average expert (d4abd573f of September 2026).
_COLUMNS_BY_TOKENS = 6270
_COLUMNS_BY_EXPERT = ("RDNA3", "RDNA4")
_FIRST_BY_EXPERT = 11000
_FEWEST_COLUMNS = 8.0
# The fork's build, and how many tokens of a matrix, from which processors unpack all of it before multiplying.
_FORK_UNPACKS = 3750
_FORK_FEW_TOKENS = 32
# Fewer experts than this are multiplied like dense weights, one by one.
_MANY_EXPERTS = 64

_AVX512 = ("avx512", "amx")  # what begins the names of instruction sets that have it
_X86_INTERLEAVED = frozenset(("Q4_0", "Q4_K", "FP4"))
_X86_BLOCKS = frozenset(("Q5_0", "Q8_0")) | WHOLE_TYPES
_X86_ROWS = frozenset(("Q4_1", "Q5_1", "Q1_0", "TQ", "TQ1_0", "TQ2_0"))
_ARM = frozenset(("i8mm", "dotprod", "neon"))
_ARM_INTERLEAVED = frozenset(("Q4_0", "Q8_0", "Q4_K", "Q5_K", "Q6_K", "FP4"))
_IN_MATRIX_UNITS = frozenset(("Q4_0", "Q4_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K", "IQ4"))  # qtype_has_amx_kernels


def processor_kernel(type_class: str, instructions: str) -> ProcessorKernel:
    """How llama.cpp's current kernels multiply a prompt by weights of a type on a processor with the instructions."""
    if instructions in _ARM:
        if type_class in _ARM_INTERLEAVED and instructions != "neon":
            return "interleaved"
        return "blocks" if type_class in WHOLE_TYPES else "rows"
    if instructions == "amx_int8" and type_class in _IN_MATRIX_UNITS:
        return "matrix units"
    if type_class in _X86_INTERLEAVED or (type_class == "Q2_K" and instructions.startswith(_AVX512)):
        return "interleaved"
    if type_class in _X86_BLOCKS:
        return "blocks"
    return "rows" if type_class in _X86_ROWS else "tiles"


def multiplied_as(type_class: str, device: SpeedDevice, setting: Setting) -> str:
    """The class that a type's tiles belong to on a device."""
    on_blackwell = device.backend == "cuda" and device.architecture.startswith("Blackwell")
    return NATIVE_FP4 if type_class == "FP4" and on_blackwell and setting.is_from(_NATIVE_FP4) else type_class


def uses_library(
    type_class: str, device: SpeedDevice, setting: Setting, n_tokens: float, n_experts: float = 1
) -> bool:
    """Whether weights of a type are multiplied by the vendor's library, with `n_tokens` at once."""
    if device.backend not in ("cuda", "rocm"):
        return False
    if type_class in WHOLE_TYPES:
        return True
    if device.backend == "cuda":
        return _on_nvidia(device, setting, n_tokens)
    first = _TILES_ON_MATRIX_CORES.get(device.architecture)
    if first is None:  # no matrix cores, or tiles without them are what there is
        return device.architecture.startswith("CDNA") and n_tokens >= _FEW_TOKENS
    if not setting.is_from(first):
        return n_tokens >= _FEW_TOKENS
    if not device.architecture.startswith("RDNA3") or n_experts >= _MANY_EXPERTS:
        return False
    return n_tokens > _LIBRARY_FROM.get(type_class, n_tokens)


def expert_columns(
    device: SpeedDevice, setting: Setting, n_tokens: float, n_picked: float = 1, n_experts: float = 1
) -> float:
    """Columns of the tile that each expert's tokens are multiplied in, needed or not, with `n_tokens` at once.

    The tile is chosen by all tokens, though an expert sees few of them (mul_mat_q_case in mmq.cuh,
    ggml_vk_guess_matmul_id_pipeline in ggml-vulkan.cpp, kernel_mul_mm_id in ggml-metal.metal); on NVIDIA's and AMD's
    cards before build 6270 by all their picks, and lately on some of AMD's by what an expert sees on average.
    """
    if device.kind == "cpu":
        return 1.0
    if device.backend == "metal":
        return 32.0
    if device.backend == "vulkan":
        largest = 128.0 if device.has_nvidia_tiles else 64.0
        return next((columns for columns in (32.0, 64.0) if n_tokens <= columns), largest)
    asked = n_tokens
    if not setting.is_from(_COLUMNS_BY_TOKENS):
        asked = n_tokens * n_picked
    elif device.architecture.startswith(_COLUMNS_BY_EXPERT) and setting.is_from(_FIRST_BY_EXPERT):
        asked = n_tokens * n_picked / n_experts
    return max(_FEWEST_COLUMNS, min(128.0 if _tiles_on_matrix_cores(device, setting) else 64.0, asked))


def has_vector_experts(device: SpeedDevice, setting: Setting) -> bool:
    """Whether a few tokens' experts are multiplied as vectors; if not, only a single token's are."""
    return device.kind == "cpu" or device.backend == "metal" or setting.is_from(_VECTOR_EXPERTS)


def has_experts_for_vectors(weight: ClassWeights, device: SpeedDevice) -> bool:
    """Whether a token's experts are multiplied as vectors: in ggml-vulkan not those in BF16 (ggml_vk_use_mul_mat_vec_id)."""
    return not (weight.is_expert and weight.type_class == "BF16" and device.backend == "vulkan")


def attention_flop_per_s(device: SpeedDevice, setting: Setting) -> float:
    """The rate that a prompt's attention goes by: of the matrix cores, but of the other units in fused kernels on AMD's cards.

    Without rocWMMA, ROCm's are the tiles of fattn-tile.cuh: packed FP16, twice the FP32 rate. Vulkan's have
    matrix cores for the products only. An R9700, with 3.2 times the matrix rate of a Strix Halo and 1.6 times the FP32
    rate, attends no more than twice as fast in either.
    """
    outside = device.backend in ("rocm", "vulkan") and not device.has_nvidia_tiles
    if outside and setting.flash_attention is True and setting.matrix_cores != "rocwmma":
        return min(device.fp16_flop_per_s, 2 * device.vector_flop_per_s)
    return device.fp16_flop_per_s


def unpacks_all(device: SpeedDevice, setting: Setting, n_tokens: float) -> bool:
    """Whether the fork turns weights of any quantized type into INT8 rows first, so that all types take as long.

    From 32 tokens of one matrix on, since June 2025 (is_dequant_better in iqk_mul_mat.cpp, pull requests 531 to 533).
    """
    is_new = setting.build is None or setting.build >= _FORK_UNPACKS
    return (
        device.kind == "cpu" and setting.engine == "ik_llama.cpp" and is_new and n_tokens >= _FORK_FEW_TOKENS
    )


def _tiles_on_matrix_cores(device: SpeedDevice, setting: Setting) -> bool:
    """Whether tiles of quantized weights are multiplied on matrix cores, where they may be twice as wide."""
    if device.backend == "cuda":
        return device.has_matrix_cores and device.architecture != "Volta"
    first = _TILES_ON_MATRIX_CORES.get(device.architecture)
    return first is not None and setting.is_from(first)


def _on_nvidia(device: SpeedDevice, setting: Setting, n_tokens: float) -> bool:
    if not device.has_int8_dot:
        return True
    if not device.has_matrix_cores:
        return False
    if setting.modern and device.architecture != "Volta":
        return False
    return n_tokens >= _FEW_TOKENS
