"""How an engine fills a step: what the schedulers of vLLM, SGLang, TensorRT-LLM and llama-server differ in."""

from dataclasses import dataclass
from typing import Literal

Mixing = Literal["mixed", "prompts_first"]
Room = Literal["as_it_grows", "reserved"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One replica's limits and rules.

    `mixing`: "mixed" adds chunks of prompts to the step that decodes (vLLM's V1 scheduler, vllm/v1/core/sched/scheduler.py;
    llama-server's update_slots); "prompts_first" reads prompts in steps of their own while decoding waits (SGLang,
    python/sglang/srt/managers/scheduler.py, without --enable-mixed-chunk).
    `room`: "as_it_grows" takes blocks when a token needs one and sends the youngest request back when there is none
    (vLLM); "reserved" admits a request only when its whole answer will fit (TensorRT-LLM's GUARANTEED_NO_EVICT,
    llama-server's slots).
    """

    max_sequences: int
    max_batched_tokens: int  # of one step, decoding tokens included
    kv_tokens: int  # that the pool holds
    block_tokens: int = 16
    mixing: Mixing = "mixed"
    room: Room = "as_it_grows"
    prefix_cache: bool = False
    sequence_tokens: int | None = None  # prompt and answer of one request at most; None: what the pool holds

    def __post_init__(self) -> None:
        if min(self.max_sequences, self.max_batched_tokens, self.block_tokens) < 1:
            raise ValueError("sequences, tokens of a step and of a block must be at least 1")
        if self.sequence_tokens is not None and self.sequence_tokens < 1:
            raise ValueError("a request has at least one token")
        if self.kv_tokens < self.block_tokens:
            raise ValueError(f"a pool of {self.kv_tokens} tokens holds no block of {self.block_tokens}")

    @property
    def n_blocks(self) -> int:
        """Whole blocks of the pool."""
        return self.kv_tokens // self.block_tokens

    def refusal(self, n_prompt_tokens: int, n_output_tokens: int) -> str | None:
        """Why a request of these lengths is never served; None for one that is."""
        n_tokens = n_prompt_tokens + n_output_tokens
        if self.sequence_tokens is not None and n_tokens > self.sequence_tokens:
            return f"{n_tokens} tokens are more than the {self.sequence_tokens} that a request may have"
        # The last token of an answer is never read again.
        if self.blocks_of(n_tokens - 1) > self.n_blocks:
            return f"{n_tokens - 1} tokens are more than the {self.kv_tokens} that the pool holds"
        return None

    def blocks_of(self, n_tokens: int) -> int:
        """Blocks that hold so many tokens of one sequence."""
        return -(-n_tokens // self.block_tokens)
