"""A request that an engine holds, between its arrival and its last token."""

from planner.simulate.request_spec import RequestSpec


class Sequence:
    """What is read of its prompt, what is still to be said, and the blocks that hold it."""

    __slots__ = (
        "cached", "decoding", "end_step", "first_s", "hit", "index", "late_s", "n_preemptions", "own_blocks", "phase",
        "prompt_left", "remaining", "spec", "uses",
    )  # fmt: skip

    def __init__(self, index: int, spec: RequestSpec) -> None:
        self.index = index
        self.spec = spec
        self.prompt_left = spec.n_prompt_tokens
        self.remaining = spec.n_output_tokens  # tokens still to come
        self.cached = 0  # tokens in the pool while it is read; later as of its first decoding step
        self.own_blocks = 0  # blocks besides those of a shared beginning
        self.hit = 0
        self.first_s: float | None = None
        self.late_s = 0.0  # after the steps that read it, until its first token is there
        self.end_step = 0
        self.phase = 0
        self.decoding = False
        self.uses: int | None = None  # the conversation that it builds on
        self.n_preemptions = 0

    def tokens_at(self, step: int) -> int:
        """Tokens in the pool while it decodes: all but the one that its last step gave."""
        return self.spec.n_prompt_tokens + self.spec.n_output_tokens - 1 - (self.end_step - step)
