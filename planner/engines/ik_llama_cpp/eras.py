"""What changed in ik_llama.cpp's graphs, by build: the number of commits, as its programs print it.

Builds are counted on the main branch up to 8337e4cd (2026-08-15, build 4840); each line names the change.
"""

from dataclasses import dataclass
from functools import cached_property

CURRENT_BUILD = 4840

# GPU kernels for interleaved types, build by build (ggml_backend_cuda_supports_op).
_INTERLEAVED_ON_GPU = (
    (3714, ("IQ2_K_R4", "IQ3_K_R4", "IQ4_K_R4", "IQ5_K_R4")),  # 89728ab03 (#461), 2025-05-26
    (3726, ("IQ1_S_R4",)),  # 631ceee07 (#492)
    (3728, ("IQ4_KS_R4", "IQ5_KS_R4")),  # 3e70d984d (#493)
    (3729, ("IQ1_M_R4",)),  # 1b9b7bd5a (#494)
)


@dataclass(frozen=True, kw_only=True)
class Era:
    """One build, and how it builds graphs."""

    build: int = CURRENT_BUILD

    @property
    def fuses_gate(self) -> bool:
        """Activation and product of gate and up are one operation: cd96f6c4e (#110), 2024-10-26."""
        return self.build >= 3475

    @property
    def expands_whole_cache(self) -> bool:
        """Prompts expand the latent cache of a layer at once, in f32: until 9fe2b06f7 (#260), 2025-03-18."""
        return self.build < 3590

    @property
    def offloads_fused_experts(self) -> bool:
        """GPUs take the fused gate and up of experts in RAM, not only their down: aa8ec5dfa (#405), 2025-05-12."""
        return self.build >= 3683

    @property
    def takes_batches_by_active_experts(self) -> bool:
        """GPUs take expert weights from RAM for tokens · k >= 32 · E only: dc663fe63 (#520), 2025-06-12."""
        return self.build >= 3745

    @property
    def mask_row_padding(self) -> int:
        """GGML_KQ_MASK_PAD: c482d14b1 (#574), 2025-07-03."""
        return 64 if self.build >= 3780 else 32

    @property
    def fuses_dense_gate(self) -> bool:
        """Up, gate and activation of a dense block are one operation: 8de297b79 (#741), 2025-08-31."""
        return self.build >= 3869

    @property
    def default_copies(self) -> int:
        """GGML_SCHED_MAX_COPIES that cmake sets: 4, then 1 with d29c21ecb (#751), 2025-09-02."""
        return 1 if self.build >= 3873 else 4

    @property
    def makes_half_masks(self) -> bool:
        """The mask is f16 from the start when flash attention reads it: 4e24d48e6 (#825), 2025-10-13."""
        return self.build >= 3907

    @property
    def fuses_expert_sum(self) -> bool:
        """Weighting and summing the experts is one operation: 0549be76e (#858), 2025-10-24."""
        return self.build >= 3926

    @property
    def fast_by_default(self) -> bool:
        """Flash attention and -fmoe are on unless turned off: 41d6c42b9 (#863), 2025-10-25."""
        return self.build >= 3928

    @property
    def overrides_stop_pipeline(self) -> bool:
        """With -ot there are no pipeline copies: a3bd0158f (#879), 2025-10-31."""
        return self.build >= 3941

    @property
    def default_mla(self) -> int:
        """-mla without a flag: 3 since ddc88bac1 (#943), 2025-11-12."""
        return 3 if self.build >= 3983 else 0

    @property
    def orders_latent_queries_first(self) -> bool:
        """Queries and latents are computed together, then turned: 047a51977 (#985), 2025-11-19."""
        return self.build >= 4008

    @property
    def orders_projections_first(self) -> bool:
        """Q, K and V are computed in front of their norms in every family: a71934998 (#1022), 2025-12-01."""
        return self.build >= 4035

    @property
    def frees_chunks(self) -> bool:
        """Expanded chunks of the latent cache are used before the next is made: 33308908d (#1211), 2026-01-31."""
        return self.build >= 4161

    @property
    def fits_chunks(self) -> bool:
        """Chunks take any divisor of the heads, not only halves: c1c342146 (#1375), 2026-03-07."""
        return self.build >= 4265

    @property
    def caches_index(self) -> bool:
        """Keys of a sparse index are cached when the file has its tensors: build 4676 (2026-07-02)."""
        return self.build >= 4676

    @property
    def default_attention_max_batch_mib(self) -> int:
        """-amb without a flag: 256 since 37d82c231 (#2312), 2026-08-13."""
        return 256 if self.build >= 4832 else 0

    @cached_property
    def host_only_types(self) -> frozenset[str]:
        """Interleaved types that no GPU multiplies with."""
        on_gpu = {name for build, names in _INTERLEAVED_ON_GPU if self.build >= build for name in names}
        return INTERLEAVED_TYPES - on_gpu


CURRENT = Era()

INTERLEAVED_TYPES = frozenset(
    ("Q4_0_R8", "Q5_0_R4", "Q6_0_R4", "Q8_0_R8", "Q2_K_R4", "Q3_K_R4", "Q4_K_R4", "Q5_K_R4", "Q6_K_R4",
     "IQ2_XXS_R4", "IQ2_XS_R4", "IQ2_S_R4", "IQ3_XXS_R4", "IQ3_S_R4", "IQ1_S_R4", "IQ1_M_R4", "IQ4_NL_R4",
     "IQ4_XS_R8", "IQ2_BN_R4", "IQ2_K_R4", "IQ3_K_R4", "IQ4_K_R4", "IQ5_K_R4", "IQ4_KS_R4", "IQ5_KS_R4",
     "MXFP4_R8", "Q8_K_R8", "Q8_K_R16", "Q8_KV_R8", "BF16_R16")
)  # fmt: skip

# What -rtr turns weights in RAM into (iqk_quantize.cpp, get_repack_info).
REPACKED = {
    "IQ2_K": "IQ2_K_R4", "IQ3_K": "IQ3_K_R4", "IQ4_K": "IQ4_K_R4", "IQ5_K": "IQ5_K_R4", "IQ4_XS": "IQ4_XS_R8",
    "IQ4_KS": "IQ4_KS_R4", "IQ5_KS": "IQ5_KS_R4", "IQ4_NL": "IQ4_NL_R4", "IQ2_BN": "IQ2_BN_R4",
    "IQ2_XXS": "IQ2_XXS_R4", "IQ2_XS": "IQ2_XS_R4", "IQ2_S": "IQ2_S_R4", "IQ3_XXS": "IQ3_XXS_R4",
    "IQ3_S": "IQ3_S_R4", "Q2_K": "Q2_K_R4", "Q3_K": "Q3_K_R4", "Q4_K": "Q4_K_R4", "Q5_K": "Q5_K_R4",
    "Q6_K": "Q6_K_R4", "Q4_0": "Q4_0_R8", "Q5_0": "Q5_0_R4", "Q6_0": "Q6_0_R4", "Q8_0": "Q8_0_R8",
    "Q8_K": "Q8_K_R8", "Q8_KV": "Q8_KV_R8", "MXFP4": "MXFP4_R8", "BF16": "BF16_R16", "F16": "BF16_R16",
}  # fmt: skip
