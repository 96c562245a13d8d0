"""What one device promises, in the terms that operators are timed in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from hardware.spec import Accelerator

# Laptop chips clock higher the more power their makers allow: an RTX 4070 Laptop boosts to 1.23 to 2.18 GHz, and
# the profile has 1.70. Peaks are those of the highest clock, efficiencies say how far from it such chips run.
_MOBILE_CLOCK = 1.28
_MATRIX_CORES = 3.0  # times the other units' rate; INT8 or FP16 outside of matrix cores is up to 2 times
_COPY_FRACTION = 0.8  # of a link's rate: what a good copy of a large tensor reaches
# FLOP of one core in a cycle, by the instructions that llama.cpp and its fork have kernels for; the first that a
# processor has counts. Of quantized weights (INT8): tiles of AMX; 64, or 32 products an instruction; with AVX2 three
# instructions for 32. Of whole ones: BF16 by AMX or 32 products an instruction; FP16, widened to FP32, and all others by two
# fused multiply-adds of 8, or of 16 that some processors do at half the rate.
_INT8_FLOP = (
    ("amx_int8", 1024.0), ("avx512_vnni", 128.0), ("avx_vnni", 96.0), ("i8mm", 128.0), ("dotprod", 64.0),
    ("avx512bw", 64.0), ("avx2", 43.0), ("neon", 32.0),
)  # fmt: skip
_WIDENED_FLOP = (("avx512f", 48.0), ("avx2", 32.0), ("neon", 16.0))
_WHOLE_FLOP = (("amx_bf16", 512.0), ("avx512_bf16", 64.0), *_WIDENED_FLOP)
# Of a processor whose instructions nobody names: AVX2, which all of the last ten years have.
_UNNAMED = ("avx2",)
# Efficiencies are relative to this nominal clock, so its exact value does not matter for what was measured.
_NOMINAL_HZ = 3.5e9
_LEAST_CPU_FRACTION = 0.5  # cores clock up to 1.7 times as high, and server cores have two units for some
# What one core's misses in flight bring from memory: a few threads do not reach the bandwidth of many channels.
_CORE_BYTES_PER_S = 25e9

# Whose matrix units ggml-vulkan leaves alone: cooperative matrices are slower there than none (llama.cpp #14001).
_NO_MATRICES_IN_VULKAN = frozenset(("Xe-HPG",))

_NVIDIA = frozenset(("Pascal", "Volta", "Turing", "Ampere", "Ada", "Hopper", "Blackwell"))
# Compute capabilities that multiply FP16 at twice the FP32 rate outside of matrix cores, which "fp16" leaves out.
_PACKED_FP16 = frozenset(("6.0",))

DeviceKind = Literal["gpu", "cpu"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedDevice:
    """A GPU or a processor as the speed model sees it: peaks, and the names its efficiencies go by."""

    key: str  # profile id of a GPU, "cpu:" and the processor's name
    kind: DeviceKind
    backend: str  # cuda | rocm | vulkan | metal | sycl | cpu | host (a processor beside a GPU)
    architecture: str  # of a processor: the instructions that its kernels for INT8 are made of
    memory_kind: str  # hbm | gddr | shared | ram
    memory_bytes_per_s: float
    matrix_flop_per_s: float
    fp16_flop_per_s: float
    vector_flop_per_s: float  # fp32, outside the matrix cores; of processors INT8
    widened_flop_per_s: float = 0.0  # of processors: FP16 and FP32, multiplied as FP32
    n_threads: int = 1  # of processors
    least_matrix_fraction: float  # of the time at matrix_flop_per_s that the fastest number type could take
    is_mobile: bool = False  # a laptop's chip, whose stated clock says little of what its maker lets it take
    link_bytes_per_s: float | None = None  # from main memory, one way; None where that is the same memory

    def product_flop_per_s(self, type_class: str) -> float:
        """The rate of products with weights of a type: GPUs' units do all at one rate here."""
        if self.kind == "gpu" or type_class not in ("BF16", "F16", "F32"):
            return self.matrix_flop_per_s
        return self.fp16_flop_per_s if type_class == "BF16" else self.widened_flop_per_s

    @property
    def has_matrix_cores(self) -> bool:
        """Whether it multiplies matrices much faster than its other units do."""
        return self.matrix_flop_per_s > _MATRIX_CORES * self.vector_flop_per_s

    @property
    def has_nvidia_tiles(self) -> bool:
        """Whether kernels for NVIDIA's cards run on it, whose tiles are larger than others'."""
        return self.architecture in _NVIDIA

    @property
    def has_int8_dot(self) -> bool:
        """Whether it multiplies INT8 at all; of NVIDIA's cards since Pascal only the P100 does not."""
        return self.least_matrix_fraction < 1 or self.has_matrix_cores

    @property
    def family(self) -> str:
        """Devices that are alike: by architecture, kind of memory and whether they have matrix cores.

        An A100 and an RTX 3090 are both Ampere, a GTX 1660 and an RTX 2070 both Turing, and unlike.
        """
        if self.kind == "cpu":
            return self.backend
        plain = " plain" if self.architecture == "Turing" and not self.has_matrix_cores else ""
        return f"{self.architecture}{plain}/{self.memory_kind}"


def matrix_flop_per_s(dense_flop_per_s: Mapping[str, float]) -> float | None:
    """The rate at which matrices can be multiplied, whichever way the vendor states it: max(FP16, INT8 / 2).

    llama.cpp multiplies quantized weights as INT8 and F16 ones with FP16 accumulation; GeForce cards do both
    at twice the FP16 rate that is stated for FP32 accumulation. None where neither rate is known.
    """
    rates = [rate for rate in (dense_flop_per_s.get("fp16"), dense_flop_per_s.get("int8", 0.0) / 2) if rate]
    return max(rates, default=None)


def gpu_device(accelerator: Accelerator, backend: str) -> SpeedDevice | None:
    """A profiled GPU under a backend; None when no rate of its arithmetic is known."""
    matrix = matrix_flop_per_s(accelerator.dense_flop_per_s)
    if matrix is None:
        return None
    vector = accelerator.vector_flop_per_s
    if backend == "cuda" and accelerator.architecture == "Turing" and vector is not None:
        # A GTX 16 has no matrix cores: their instructions, which tiles are made of, run on its INT32 units.
        matrix = matrix if matrix > _MATRIX_CORES * vector else vector
    if accelerator.compute_capability in _PACKED_FP16:
        matrix *= 2
    if backend == "vulkan" and accelerator.architecture in _NO_MATRICES_IN_VULKAN and vector is not None:
        matrix = min(matrix, 2 * vector)  # packed FP16, or INT8 at half its rate
    is_mobile = "-laptop" in accelerator.id
    clock = _MOBILE_CLOCK if is_mobile else 1.0
    kind = memory_kind(accelerator)
    peak = max(matrix, min(2 * matrix, accelerator.dense_flop_per_s.get("int8", 0.0)))
    pcie = None if accelerator.unified_memory else accelerator.pcie_bytes_per_s
    return SpeedDevice(
        key=accelerator.id,
        kind="gpu",
        backend=backend,
        architecture=accelerator.architecture or "",
        memory_kind=kind,
        memory_bytes_per_s=accelerator.memory_bytes_per_s,
        matrix_flop_per_s=clock * matrix,
        fp16_flop_per_s=clock * min(matrix, accelerator.dense_flop_per_s.get("fp16") or matrix),
        vector_flop_per_s=clock * (accelerator.vector_flop_per_s or matrix),
        least_matrix_fraction=matrix / peak,
        is_mobile=is_mobile,
        link_bytes_per_s=None if pcie is None else _COPY_FRACTION * pcie,
    )


def memory_kind(accelerator: Accelerator) -> str:
    """Stacked, graphics or shared memory: what latency and efficiency go by."""
    name = accelerator.memory_type or ""
    if accelerator.unified_memory or name.startswith(("LP", "DDR")):
        return "shared"
    return "hbm" if name.startswith("HBM") else "gddr"


def cpu_device(
    name: str,
    memory_bytes_per_s: float,
    n_threads: int,
    *,
    beside_gpu: bool,
    instruction_sets: Sequence[str] = (),
) -> SpeedDevice:
    """A processor: the bandwidth that its threads reach, and the rates of the cores that work.

    One that runs only what no GPU holds waits for it at every layer, so it counts as a backend of its own.
    """
    known = instruction_sets or _UNNAMED
    cycles = n_threads * _NOMINAL_HZ
    backend = "host" if beside_gpu else "cpu"
    return SpeedDevice(
        key=f"cpu:{name}",
        kind="cpu",
        backend=backend,
        architecture=_first(_INT8_FLOP, known)[0],
        memory_kind="ram",
        memory_bytes_per_s=min(memory_bytes_per_s, n_threads * _CORE_BYTES_PER_S),
        n_threads=n_threads,
        matrix_flop_per_s=cycles * _first(_INT8_FLOP, known)[1],
        fp16_flop_per_s=cycles * _first(_WHOLE_FLOP, known)[1],
        vector_flop_per_s=cycles * _first(_INT8_FLOP, known)[1],
        widened_flop_per_s=cycles * _first(_WIDENED_FLOP, known)[1],
        least_matrix_fraction=_LEAST_CPU_FRACTION,
    )


def _first(rates: Sequence[tuple[str, float]], known: Sequence[str]) -> tuple[str, float]:
    """The first instruction set that a processor has, with its rate; the slowest where it has none of them."""
    return next((pair for pair in rates if pair[0] in known), rates[-1])
