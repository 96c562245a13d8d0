"""How llama-server fills a step: slots, batches of prompts behind what is generated, a cache for each slot or for all.

`update_slots` of tools/server/server-context.cpp: every slot that generates gives one token to the batch, then prompts
fill it up to `n_batch`, slot after slot. A request that finds no free slot waits. What a slot holds of its last request
is kept, and the next one reads only what differs; slots with the longest common beginning are preferred, and further
contexts are kept in main memory (`--cache-ram`, 8 GiB by itself).
"""

from planner.engines.llama_cpp import LlamaCppFlags
from planner.simulate.policy import Policy


def slot_policy(flags: LlamaCppFlags) -> Policy:
    """The limits and rules of a llama-server with these flags.

    Without a unified cache each slot has an equal share of the context, and longer requests are refused. With one, a
    request may be as long as the whole; the server takes it whether or not there is room for its answer, and breaks off
    all answers when there is none. Here it waits for room, which a good client would have it do.
    """
    share = flags.n_context_tokens // flags.n_sequences
    is_shared = flags.unified_cache or flags.n_sequences == 1
    return Policy(
        max_sequences=flags.n_sequences,
        max_batched_tokens=flags.n_batch,
        kv_tokens=flags.n_context_tokens if is_shared else share * flags.n_sequences,
        block_tokens=1,
        room="reserved",
        prefix_cache=True,
        sequence_tokens=flags.n_context_tokens if is_shared else share,
    )
