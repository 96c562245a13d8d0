"""The settings of llama.cpp that decide memory."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaCppFlags:
    """The settings that decide memory, with llama.cpp's own defaults except for one sequence."""

    n_context_tokens: int
    n_batch: int = 2048
    n_ubatch: int = 512
    n_sequences: int = 1
    unified_cache: bool = True
    k_type: str = "F16"
    v_type: str = "F16"
    flash_attention: bool = True
    swa_full: bool = False  # sliding-window layers keep the whole context (--swa-full)
    rollback_sequences: int = (
        0  # copies of recurrent state kept to undo draft tokens, beside the state itself
    )
    kv_offload: bool = True  # the cache lies with its layer; off: in main memory (--no-kv-offload)
    op_offload: bool = True  # GPUs compute large batches of layers in main memory (--no-op-offload)
    mmap: bool = True  # weights in main memory are the mapped file itself
    repack: bool = True  # weights in main memory may be rearranged for the processor (--no-repack)
    loads_extra_layers: bool = False  # layers that predict further tokens, as drafting with them needs
    n_outputs: int | None = (
        None  # tokens of a batch whose logits may be asked for; llama-server: one a sequence
    )
    build: int | None = None  # the engine's build number; None for a current one

    @property
    def tokens_at_once(self) -> int:
        """Tokens computed together: a physical batch is no larger than a logical one, nor that than the context."""
        return min(self.n_ubatch, self.n_batch, self.n_context_tokens)

    def __post_init__(self) -> None:
        if min(self.n_context_tokens, self.n_batch, self.n_ubatch, self.n_sequences) < 1:
            raise ValueError("context, batch sizes and sequences must be at least 1")
        if self.n_outputs is not None and self.n_outputs < 1:
            raise ValueError("at least one token of a batch has an output")
        if not self.flash_attention and self.v_type not in ("F16", "F32", "BF16"):
            raise ValueError("a quantized V cache needs flash attention")
