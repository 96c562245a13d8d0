"""Which part of a prompt an engine finds in its cache when others began with the same tokens."""


def found_tokens(n_prefix_tokens: int, n_prompt_tokens: int, block_tokens: int) -> int:
    """Tokens of a prompt that are not read: whole blocks of the prefix, and never the whole prompt.

    The last token is read anew for its logits (vllm/v1/core/kv_cache_manager.py, `get_computed_blocks`;
    sglang/srt/managers/schedule_batch.py, `init_next_round_input`).
    """
    most = min(n_prefix_tokens, n_prompt_tokens - 1)
    return max(0, most) // block_tokens * block_tokens
