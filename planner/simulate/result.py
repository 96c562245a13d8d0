"""What a simulation found: times of every request, and how full the replica was."""

from collections.abc import Sequence
from dataclasses import dataclass

from planner.simulate.request_spec import RequestSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTimes:
    """Times of one request since the start; None for what never came (the request did not fit)."""

    index: int  # in the order in which requests were given, or issued by a closed loop
    arrival_s: float
    n_prompt_tokens: int
    n_output_tokens: int
    first_s: float | None = None
    last_s: float | None = None
    n_preemptions: int = 0
    n_prefix_hit_tokens: int = 0
    rejected: str | None = None

    @classmethod
    def of(
        cls,
        spec: RequestSpec,
        index: int,
        *,
        first_s: float | None,
        last_s: float | None,
        n_preemptions: int,
        n_prefix_hit_tokens: int,
        rejected: str | None,
    ) -> "RequestTimes":
        """Those of a request that was answered, or refused."""
        return cls(
            index=index,
            arrival_s=spec.arrival_s,
            n_prompt_tokens=spec.n_prompt_tokens,
            n_output_tokens=spec.n_output_tokens,
            first_s=first_s,
            last_s=last_s,
            n_preemptions=n_preemptions,
            n_prefix_hit_tokens=n_prefix_hit_tokens,
            rejected=rejected,
        )

    @property
    def ttft_s(self) -> float | None:
        """Time to the first token."""
        return None if self.first_s is None else self.first_s - self.arrival_s

    @property
    def e2e_s(self) -> float | None:
        """Time to the last token."""
        return None if self.last_s is None else self.last_s - self.arrival_s

    @property
    def tpot_s(self) -> float | None:
        """Time per token after the first; None for a single one."""
        if self.first_s is None or self.last_s is None or self.n_output_tokens < 2:
            return None
        return (self.last_s - self.first_s) / (self.n_output_tokens - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationResult:
    """One replica's run."""

    requests: Sequence[RequestTimes]
    end_s: float
    busy_s: float  # in steps
    n_steps: int
    n_preemptions: int
    n_output_tokens: int
    n_prefill_tokens: int  # really read: without hits of the prefix cache, with what had to be read again
    mean_running: float  # sequences, over busy time
    mean_waiting: float  # requests without a place, over all time
    peak_blocks: int

    @property
    def utilisation(self) -> float:
        """Share of the time in which a step ran."""
        return self.busy_s / self.end_s if self.end_s > 0 else 0.0
