"""What a stretch of load says: rates in its steady part, and percentiles of the latencies people feel."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from planner.load.raw_load import RawLoad
from planner.load.request_record import RequestRecord

PERCENTILES = (50, 90, 95, 99)
_MOST_KEPT = 10_000
_DIGITS = 5  # of seconds, in what is kept of single requests
_FEWEST = 5  # requests of a steady part; with fewer the whole stretch is used, and that is said


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """Of one latency, in seconds; `at` follows PERCENTILES."""

    mean: float
    at: tuple[float, ...]
    n: int

    def of(self, percent: int) -> float:
        """One of them."""
        return self.at[PERCENTILES.index(percent)]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRequests:
    """The requests that percentiles are of, column by column, the first _MOST_KEPT of them."""

    sent_s: tuple[float, ...]
    ttft_s: tuple[float, ...]
    e2e_s: tuple[float, ...]
    n_prompt_tokens: tuple[int, ...]
    n_output_tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadLevel:
    """What one concurrency or rate gave, in one stretch of time or several."""

    concurrency: int | None  # None for an open loop
    offered_per_s: float | None  # None for a closed one
    n_good: int
    n_failed: int
    errors: tuple[tuple[str, int], ...]
    window_s: float
    requests_per_s: float  # answers under way counted by their tokens, where a loop was closed
    output_tokens_per_s: float
    prompt_tokens_per_s: float
    mean_under_way: float
    ttft: Percentiles | None
    tpot: Percentiles | None
    itl: Percentiles | None
    e2e: Percentiles | None
    mean_prompt_tokens: float
    mean_output_tokens: float
    cached_fraction: float | None  # of prompt tokens, by the server
    latest_send_s: float  # how far this program itself fell behind
    # Requests per second of the steady part of each stretch, by the tokens that arrived in it; none of an open loop.
    rates_per_s: tuple[float, ...] = ()
    requests: MeasuredRequests | None = None
    notes: tuple[str, ...] = ()


def percentiles(values: Sequence[float]) -> Percentiles | None:
    """Linear interpolation between order statistics, as NumPy's default; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    at = []
    for percent in PERCENTILES:
        position = (len(ordered) - 1) * percent / 100
        below = math.floor(position)
        above = min(below + 1, len(ordered) - 1)
        at.append(ordered[below] + (ordered[above] - ordered[below]) * (position - below))
    return Percentiles(mean=sum(ordered) / len(ordered), at=tuple(at), n=len(ordered))


def summarize(
    raws: Sequence[RawLoad], *, concurrency: int | None = None, offered_per_s: float | None = None
) -> LoadLevel:
    """Rates and latencies of one or more stretches of the same load.

    A closed loop begins with a queue that will not be again: its steady part is from when each place has had one answer
    to the last answer before no more requests are begun. An open loop is steady as a whole. Tokens count when they
    arrive, whichever request they belong to; latencies are of requests begun in the part.

    Requests per second of a closed loop are its tokens per second over the mean length of an answer: a short time that
    holds one answer more or less would be off by that much. Without a steady part they are what the answers' times
    give, concurrency over mean time (Little's law).
    """
    notes: list[str] = []
    records = [record for raw in raws for record in raw.records]
    good = [record for record in records if record.is_good]
    failed = [record for record in records if not record.is_good]
    parts = [_Part(raw, *_steady(raw)) for raw in raws] if concurrency is not None else []
    measured = [record for part in parts for record in part.begun()]
    is_steady = len(measured) >= _FEWEST
    if not is_steady:
        parts = [_Part(raw, raw.started_s, _last_end(raw)) for raw in raws]
        measured = good
        if concurrency is not None:
            notes.append(
                f"only {len(good)} answer{'' if len(good) == 1 else 's'} at concurrency {concurrency}: the first ones, "
                "when not all were under way, count as well; allow more time with --budget"
            )
    window_s = max(sum(part.window_s for part in parts), 1e-9)
    output_tokens_per_s = sum(part.output_tokens() for part in parts) / window_s
    mean_output_tokens = _mean([record.n_output_tokens or 0 for record in good])
    e2e = percentiles([record.e2e_s for record in measured])
    if concurrency is None or e2e is None:
        requests_per_s = sum(part.n_ended() for part in parts) / window_s
    elif is_steady and mean_output_tokens:
        requests_per_s = output_tokens_per_s / mean_output_tokens
    else:
        requests_per_s = concurrency / e2e.mean
    if n_cut_off := sum(raw.n_cut_off for raw in raws):
        notes.append(f"{n_cut_off} requests were still unanswered at the end and were cut off")
    if n_not_sent := sum(raw.n_not_sent for raw in raws):
        notes.append(f"{n_not_sent} requests were not sent: too many were under way")
    return LoadLevel(
        concurrency=concurrency,
        offered_per_s=offered_per_s,
        n_good=len(good),
        n_failed=len(failed),
        errors=tuple(Counter(record.error or "no text" for record in failed).most_common(5)),
        window_s=window_s,
        requests_per_s=requests_per_s,
        output_tokens_per_s=output_tokens_per_s,
        prompt_tokens_per_s=sum(part.prompt_tokens() for part in parts) / window_s,
        mean_under_way=sum(part.busy_s() for part in parts) / window_s,
        ttft=percentiles([record.ttft_s for record in measured]),
        tpot=percentiles([tpot for record in measured if (tpot := record.tpot_s) is not None]),
        itl=percentiles([gap for part in parts for gap in part.gaps()]),
        e2e=e2e,
        mean_prompt_tokens=_mean([record.n_prompt_tokens or 0 for record in good]),
        mean_output_tokens=mean_output_tokens,
        cached_fraction=_cached_fraction(good),
        latest_send_s=max((record.sent_s - record.planned_s for record in records), default=0.0),
        rates_per_s=tuple(
            part.output_tokens() / part.window_s / mean_output_tokens
            for part in parts
            if is_steady and part.window_s > 0 and mean_output_tokens
        ),
        requests=_kept(measured[:_MOST_KEPT]),
        notes=tuple(notes),
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """The time of a stretch that counts."""

    raw: RawLoad
    start_s: float
    end_s: float

    @property
    def window_s(self) -> float:
        return max(0.0, self.end_s - self.start_s)

    def _holds(self, when_s: float) -> bool:
        return self.start_s < when_s <= self.end_s

    def _good(self) -> list[RequestRecord]:
        return [record for record in self.raw.records if record.is_good]

    def begun(self) -> list[RequestRecord]:
        """Good requests that were sent in it."""
        return [record for record in self._good() if self.start_s <= record.sent_s <= self.end_s]

    def n_ended(self) -> int:
        """Good requests whose last token came in it."""
        return sum(self._holds(record.token_s[-1]) for record in self._good())

    def output_tokens(self) -> float:
        """Tokens that arrived in it; a piece carries the same share of a request's tokens as any other."""
        return sum(
            (record.n_output_tokens or 0) * sum(map(self._holds, record.token_s)) / len(record.token_s)
            for record in self._good()
        )

    def prompt_tokens(self) -> int:
        """Of prompts whose first token came in it."""
        return sum((record.n_prompt_tokens or 0) for record in self._good() if self._holds(record.token_s[0]))

    def busy_s(self) -> float:
        """Seconds that requests were under way, those of all added up."""
        spans = [(max(r.sent_s, self.start_s), min(r.end_s, self.end_s)) for r in self.raw.records]
        return sum(max(0.0, end - begin) for begin, end in spans)

    def gaps(self) -> list[float]:
        """Between pieces of text, those that ended in it."""
        return [
            after - before
            for record in self._good()
            for before, after in pairwise(record.token_s)
            if self._holds(after)
        ]


def _steady(raw: RawLoad) -> tuple[float, float]:
    """From when each place has had an answer to the last answer before the stop; the same twice where there is none.

    Both ends are ends of answers, so that one request after the other makes a whole number of them.
    """
    start_s = raw.steady_from_s
    if start_s is None:
        return 0.0, 0.0
    ends = [record.token_s[-1] for record in raw.records if record.is_good]
    return start_s, max((end for end in ends if start_s < end <= raw.stopped_s), default=start_s)


def _kept(records: Sequence[RequestRecord]) -> MeasuredRequests:
    return MeasuredRequests(
        sent_s=tuple(round(record.sent_s, _DIGITS) for record in records),
        ttft_s=tuple(round(record.ttft_s, _DIGITS) for record in records),
        e2e_s=tuple(round(record.e2e_s, _DIGITS) for record in records),
        n_prompt_tokens=tuple(record.n_prompt_tokens or 0 for record in records),
        n_output_tokens=tuple(record.n_output_tokens or 0 for record in records),
    )


def _last_end(raw: RawLoad) -> float:
    return max((record.end_s for record in raw.records), default=raw.stopped_s)


def _mean(values: Sequence[int]) -> float:
    return sum(values) / len(values) if values else 0.0


def _cached_fraction(good: Sequence[RequestRecord]) -> float | None:
    told = [record for record in good if record.n_cached_tokens is not None and record.n_prompt_tokens]
    if not told:
        return None
    return sum(record.n_cached_tokens or 0 for record in told) / sum(
        record.n_prompt_tokens or 0 for record in told
    )
