"""The settings of ik_llama.cpp that decide memory: llama.cpp's, and those of the fork."""

from dataclasses import dataclass

from planner.engines.ik_llama_cpp.eras import CURRENT_BUILD, Era
from planner.engines.llama_cpp.flags import LlamaCppFlags


@dataclass(frozen=True, slots=True, kw_only=True)
class IkFlags(LlamaCppFlags):
    """llama.cpp's settings and the fork's own; None leaves a choice to the build's default."""

    mla: int | None = None  # how latent attention is cached and computed, 0 to 3 (-mla)
    attention_max_batch_mib: int | None = None  # bound of attention's scratch; 0 for none (-amb)
    fused_moe: bool | None = None  # gate and up of experts in one operation (-fmoe)
    run_time_repack: bool = False  # weights in main memory are interleaved while loading (-rtr)
    pipeline_copies: int | None = None  # GGML_SCHED_MAX_COPIES the program was built with

    def __post_init__(self) -> None:
        LlamaCppFlags.__post_init__(self)
        if self.mla is not None and not 0 <= self.mla <= 3:
            raise ValueError("-mla takes 0, 1, 2 or 3")

    @property
    def era(self) -> Era:
        """What the build does."""
        return Era(build=self.build if self.build is not None else CURRENT_BUILD)

    @property
    def mla_used(self) -> int:
        """-mla, or the build's default."""
        return self.mla if self.mla is not None else self.era.default_mla

    @property
    def attention_max_batch_used_mib(self) -> int:
        """-amb, or the build's default."""
        if self.attention_max_batch_mib is not None:
            return self.attention_max_batch_mib
        return self.era.default_attention_max_batch_mib

    @property
    def fused_moe_used(self) -> bool:
        """-fmoe, or the build's default."""
        return self.fused_moe if self.fused_moe is not None else self.era.fast_by_default

    @property
    def n_cells(self) -> int:
        """Cells of the one cache that all sequences share: the context, padded.

        llama-context.h, llama_kv_cache::get_padding: 256 with flash attention, 32 without.
        """
        padding = 256 if self.flash_attention else 32
        return -(-self.n_context_tokens // padding) * padding


def ik_flags(flags: LlamaCppFlags) -> IkFlags:
    """The fork's settings for llama.cpp's, its own at their defaults."""
    if isinstance(flags, IkFlags):
        return flags
    shared = {name: getattr(flags, name) for name in LlamaCppFlags.__dataclass_fields__}
    return IkFlags(**shared)
