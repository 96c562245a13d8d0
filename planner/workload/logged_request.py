"""One request of a log or a trace: when it came and how long it was, without what it said."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRequest:
    """Times are seconds, since 1970 where the log has dates; None for what a log does not tell."""

    arrival_s: float
    n_prompt_tokens: int
    n_output_tokens: int  # thinking included
    n_thinking_tokens: int | None = None
    n_cached_tokens: int | None = None  # of the prompt, that the server had already
    prefix_hashes: tuple[int, ...] | None = None  # of the prompt's blocks, each of all that comes before too
    block_tokens: int = 512  # of such a block


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLog:
    """A log's requests in the order of their arrival."""

    name: str
    requests: tuple[LoggedRequest, ...]
    has_dates: bool  # whether times are of a calendar; otherwise they count from somewhere
    n_left_out: int = 0  # rows without an answer
