"""What comes to a server: requests with lengths, times, shared beginnings and ranks."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSpec:
    """One request.

    `conversation` names what it shares its first `n_prefix_tokens` with, and under which later requests find what it
    leaves: an earlier turn, or a system prompt that many requests have. A conversation that itself begins with what
    many share names that as `shared_conversation`. Of all that a request leaves, only the first `n_kept_tokens` are of
    use to later ones. `is_prefilled` requests bring their prompt's cache with them (from a prefill machine).
    """

    arrival_s: float
    n_prompt_tokens: int
    n_output_tokens: int
    priority: int = 0  # lower first
    conversation: int | None = None
    n_prefix_tokens: int = 0
    shared_conversation: int | None = None
    n_shared_tokens: int = 0
    n_kept_tokens: int | None = None
    is_prefilled: bool = False
    task: int | None = None  # of whoever asks, to know it by when it ends

    def __post_init__(self) -> None:
        if self.n_prompt_tokens < 1 or self.n_output_tokens < 1:
            raise ValueError("a request has at least one prompt token and one output token")
        if not (
            0 <= self.n_prefix_tokens <= self.n_prompt_tokens
            and 0 <= self.n_shared_tokens <= self.n_prompt_tokens
        ):
            raise ValueError("a shared beginning is part of the prompt")
        if self.shared_conversation is not None and self.conversation in (None, self.shared_conversation):
            raise ValueError("what begins with a shared conversation is a conversation of its own")
