"""What decides which kernels run, beside the model and the devices: the engine, its age and its options."""

from dataclasses import dataclass
from typing import Literal

EngineName = Literal["llama.cpp", "ik_llama.cpp"]

# Builds from here on multiply quantized prompts with int8 tensor cores and replay decoding as CUDA graphs
# (llama.cpp #6766 and #7019 of May, #8062 of June 2024).
FIRST_MODERN_BUILD = 3200


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The engine and the options that choose kernels; None is for what a measurement does not say."""

    engine: EngineName = "llama.cpp"
    modern: bool = True  # of FIRST_MODERN_BUILD or later
    flash_attention: bool | None = True
    matrix_cores: str = "plain"  # how the build reaches them: plain, rocwmma, amdvlk
    blas: str = "plain"  # the matrix library of ROCm: plain or hipblaslt

    @property
    def attention(self) -> str:
        """The attention kernel, in a word."""
        return {True: "fused", False: "plain", None: "unsaid"}[self.flash_attention]

    @property
    def copies_weights(self) -> bool:
        """Whether experts in RAM are copied to the GPU for a prompt; the fork multiplies them where they lie."""
        return self.engine == "llama.cpp"


CURRENT = Setting()
