"""One request of a load test: what was asked, when what came back, and the latencies that follow."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPlan:
    """Lengths of one request, and when it shall be sent; None leaves that to a free place in a closed loop."""

    n_prompt_tokens: int
    n_output_tokens: int
    arrival_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One request as it went; times are seconds since the test began.

    `token_s` are the times of pieces of text that arrived, each a token or a few.
    """

    planned_s: float  # when it was due: an open loop must not hide the wait that a slow client adds
    sent_s: float
    end_s: float
    token_s: tuple[float, ...] = ()
    n_prompt_tokens: int | None = None  # by the server's own count
    n_output_tokens: int | None = None  # by the server's count, or the pieces where it gives none
    n_cached_tokens: int | None = None  # of the prompt, that the server had already
    is_counted_by_server: bool = False
    error: str | None = None

    @property
    def is_good(self) -> bool:
        """Whether it ended as it should, with text."""
        return self.error is None and bool(self.token_s)

    @property
    def ttft_s(self) -> float:
        """Time to the first token, from when the request was due."""
        return self.token_s[0] - self.planned_s

    @property
    def e2e_s(self) -> float:
        """Time to the last token, from when the request was due."""
        return self.token_s[-1] - self.planned_s

    @property
    def tpot_s(self) -> float | None:
        """Time per output token after the first; None for a single token."""
        n = self.n_output_tokens or 0
        return (self.e2e_s - self.ttft_s) / (n - 1) if n > 1 else None
