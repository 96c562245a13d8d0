"""What a server says of itself, beside what was measured at its door."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAccount:
    """What a server says that it did between two readings; None where it does not say."""

    n_prompt_tokens: float | None
    n_output_tokens: float | None
    mean_ttft_s: float | None
    mean_e2e_s: float | None
