"""What decides which kernels run, beside the model and the devices: the engine, its age and its options."""

from dataclasses import dataclass
from typing import Literal

EngineName = Literal["llama.cpp", "ik_llama.cpp"]

# Builds from here on multiply quantized prompts with int8 tensor cores and replay decoding as CUDA graphs
# (llama.cpp #6766 and #7019 of May, #8062 of June 2024).
FIRST_MODERN_BUILD = 3200
# Builds that effects of age end with, by backend: the one above, and fused attention's rewrites of autumn 2025.
MODERN_BUILDS = {"cuda": FIRST_MODERN_BUILD, "rocm": 6500, "vulkan": 6500}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The engine and the options that choose kernels; None is for what a measurement does not say."""

    engine: EngineName = "llama.cpp"
    build: int | None = None  # its number; None for a current one, or one that nobody says
    flash_attention: bool | None = True
    matrix_cores: str = "plain"  # how the build reaches them: plain, rocwmma, amdvlk
    blas: str = "plain"  # the matrix library of ROCm: plain or hipblaslt

    @property
    def modern(self) -> bool:
        """Whether the build is FIRST_MODERN_BUILD or later."""
        return self.is_from(FIRST_MODERN_BUILD)

    def is_from(self, first_build: int) -> bool:
        """Whether the build is `first_build` or later; one of no known number is taken to be, and so is a fork."""
        return self.engine != "llama.cpp" or self.build is None or self.build >= first_build

    @property
    def attention(self) -> str:
        """The attention kernel, in a word."""
        return {True: "fused", False: "plain", None: "unsaid"}[self.flash_attention]

    @property
    def copies_weights(self) -> bool:
        """Whether experts in RAM are copied to the GPU for a prompt; the fork multiplies them where they lie."""
        return self.engine == "llama.cpp"


CURRENT = Setting()
