"""A timer whose seconds can be worked out by hand."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """Step times on a line: a step, what it decodes and what lies in their caches, and prompts read beside it."""

    step_s: float = 0.01
    sequence_s: float = 0.0
    cached_s: float = 0.0
    prompt_s: float = 0.0
    interference: float = 1.0

    def decode(self, n_sequences: int) -> tuple[float, float]:
        return self.step_s + self.sequence_s * n_sequences, self.cached_s

    def mixed(
        self, n_sequences: int, cached_tokens: int, chunk_tokens: int, chunk_context_tokens: int
    ) -> float:
        del chunk_context_tokens
        empty_s, per_token_s = self.decode(n_sequences)
        return empty_s + per_token_s * cached_tokens + self.prompt_s * chunk_tokens

    def prompts(self, n_waiting: int, chunk_tokens: int, chunk_context_tokens: int) -> float:
        del n_waiting
        return self.mixed(0, 0, chunk_tokens, chunk_context_tokens)
