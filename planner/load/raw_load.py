"""Everything that was sent in one stretch of a load test."""

from dataclasses import dataclass

from planner.load.request_record import RequestRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class RawLoad:
    """Everything that was sent in one stretch, in the order of its end."""

    records: tuple[RequestRecord, ...]
    started_s: float
    stopped_s: float  # when no more were begun
    n_cut_off: int  # still unanswered when the wait for them was over
    n_not_sent: int  # of an open loop: too many were under way
    steady_from_s: float | None = None  # of a closed one: when each place had had an answer; None before that

    @property
    def was_sent(self) -> bool:
        """Whether anything was to be sent in it: a load that nobody answered is one too."""
        return bool(self.records or self.n_cut_off or self.n_not_sent)
