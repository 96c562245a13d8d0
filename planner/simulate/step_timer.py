"""How long a step takes: what the simulation asks of a speed model."""

from typing import Protocol


class StepTimer(Protocol):
    """Seconds of steps of one replica; implementations may remember answers, the same questions come often."""

    @property
    def interference(self) -> float:
        """What of a prompt's time a step takes longer for it where others decode or wait; its first token waits for all."""
        ...

    def decode(self, n_sequences: int) -> tuple[float, float]:
        """Seconds of a step that decodes n sequences with empty caches, and per token of all their caches.

        Between two arrivals a batch only decodes; a step's time is then affine in what its caches hold, and many steps
        are added up at once.
        """
        ...

    def mixed(
        self, n_sequences: int, cached_tokens: int, chunk_tokens: int, chunk_context_tokens: int
    ) -> float:
        """Seconds of a step that reads `chunk_tokens` of prompts and decodes n sequences.

        `cached_tokens` are in the caches of those that decode; `chunk_context_tokens` is the sum over chunks of
        chunk length × tokens before it, plus half its square: the pairs that attention goes over.
        """
        ...

    def prompts(self, n_waiting: int, chunk_tokens: int, chunk_context_tokens: int) -> float:
        """Seconds of a step that only reads prompts, while n sequences wait for their next tokens."""
        ...
