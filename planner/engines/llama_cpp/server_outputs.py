"""How many tokens of a batch llama-server may ask the logits of."""

# Pull request 23861 of llama.cpp, 2026-06-02, limits them (server-context.cpp, server_output_limits). Build 9493 of the
# day after has it; for those between 9452, of the day before, and it nobody looked.
FIRST_WITH_FEW_OUTPUTS = 9493


def server_outputs(build: int | None, n_sequences: int, n_drafted: int = 0) -> int | None:
    """One a slot, and one for each token drafted beside it; None for all, in builds before; `build` None is current.

    Other programs, and llama-server for embeddings, keep room for the logits of every token.
    """
    if build is not None and build < FIRST_WITH_FEW_OUTPUTS:
        return None
    return n_sequences * (1 + n_drafted)
